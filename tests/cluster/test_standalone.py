"""`spark-submit jobs/label.py` on Spark's own standalone master with two workers, all on loopback."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import oracle
import pyspark
import pytest
from conftest import ROOT, patchwork, planar
from pictures import read_labels, write_tif

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

SPARK_HOME = Path(pyspark.__file__).parent
TOOLS = Path(sys.executable).parent


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def wait_for(condition, what, log, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not come up:\n{log.read_text()[-2000:]}")
        time.sleep(0.2)


@pytest.fixture(scope="module")
def master(tmp_path_factory):
    """URL of a standalone master with two workers of one core each."""
    folder = tmp_path_factory.mktemp("cluster")
    port = free_port()
    environment = os.environ | {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_HOME": str(SPARK_HOME)}
    spark_class = str(SPARK_HOME / "bin/spark-class")
    daemon = "org.apache.spark.deploy"
    url = f"spark://127.0.0.1:{port}"
    log = folder / "daemons.log"
    commands = [["master.Master", "--host", "127.0.0.1", "--port", str(port), "--webui-port", "0"]]
    commands += [
        [
            "worker.Worker",
            "--cores",
            "1",
            "--memory",
            "1g",
            "--webui-port",
            "0",
            "--work-dir",
            str(folder / name),
            url,
        ]
        for name in ("worker-1", "worker-2")
    ]
    processes = []
    try:
        with log.open("w") as output:
            for name, *arguments in commands:
                command = [spark_class, f"{daemon}.{name}", *arguments]
                processes.append(
                    subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
                )
        wait_for(
            lambda: log.read_text().count("Successfully registered with master") == 2, "the cluster", log
        )
        yield url
    finally:
        for process in processes:
            process.terminate()
            process.wait(timeout=30)


def test_spark_submit_on_a_cluster_gives_the_oracles_labels(tmp_path, master):
    pictures = {name: patchwork(300, 420, seed=seed) for name, seed in (("a", 1), ("b", 2), ("c", 3))}
    for name, rgb in pictures.items():
        write_tif(tmp_path / f"scenes/{name}.tif", planar(rgb))
    (tmp_path / "scenes/bad.tif").write_text("no pixels")
    command = [
        str(TOOLS / "spark-submit"), "--master", master, "--conf", "spark.driver.host=127.0.0.1",
        "--conf", "spark.executor.memory=700m", str(ROOT / "jobs/label.py"),
        "--scenes", str(tmp_path / "scenes"), "--out", str(tmp_path / "run"),
        "--block-size", "128", "--chip-size", "64",
    ]  # fmt: skip
    environment = os.environ | {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240, check=False)
    assert done.returncode == 3, done.stderr[-3000:]
    # spark-submit hands on what the driver prints as its own standard output.
    assert "bad.tif cannot be opened" in done.stdout
    for name, rgb in pictures.items():
        np.testing.assert_array_equal(read_labels(tmp_path / "run", name), oracle.label_filtered(rgb))
    assert (tmp_path / "run/chips/chips.json").is_file()
