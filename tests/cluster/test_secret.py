"""A standalone cluster with a secret: it labels as without, and hears nobody who does not know it."""

import shutil
import subprocess

import numpy as np
import psutil
import pytest
import spark_cluster
from conftest import ROOT, patchwork, planar
from pictures import read_labels, write_tif

from labeling.ice.label import label_scene
from labeling.ice.profile import load_profile
from pipelines.secure.properties import write_properties

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

PROFILE = load_profile("polynya-clear")
PICTURE = patchwork(300, 420, seed=1)


@pytest.fixture(scope="module")
def properties(tmp_path_factory):
    file = tmp_path_factory.mktemp("secret") / "spark.conf"
    write_properties(file)
    return file


@pytest.fixture(scope="module")
def master(tmp_path_factory, properties):
    folder = tmp_path_factory.mktemp("cluster")
    with spark_cluster.standalone(folder, ["--properties-file", properties]) as url:
        yield url


def job(master, folder, options, **more):
    write_tif(folder / "scenes/a.tif", planar(PICTURE))
    shutil.copy(ROOT / "jobs/label.py", folder / "label.py")
    return spark_cluster.submit(
        master, folder / "label.py", "--scenes", folder / "scenes", "--out", folder / "run",
        "--cut", "always", "--block-size", "128", "--profile", PROFILE.name, "--outputs", "labels",
        options=[*options, "--conf", f"spark.executorEnv.PYTHONPATH={ROOT}"],
        env={"PYTHONPATH": str(ROOT)}, **more,
    )  # fmt: skip


def command_lines():
    return "\n".join(" ".join(each.info["cmdline"] or []) for each in psutil.process_iter(["cmdline"]))


def with_executor():
    """Return all command lines of the machine while one is that of an executor."""
    found = command_lines()
    return found if "CoarseGrainedExecutorBackend" in found else None


def test_labels_are_the_same_and_no_command_line_has_the_secret(master, properties, tmp_path):
    secret = dict(line.split() for line in properties.read_text().splitlines())["spark.authenticate.secret"]
    process = job(master, tmp_path, ["--properties-file", properties])
    try:
        seen = spark_cluster.wait_for(with_executor, "an executor")
        printed, _ = process.communicate(timeout=600)
    finally:
        spark_cluster.kill_group(process)
    assert process.returncode == 0, printed[-4000:]
    assert secret not in seen
    assert secret not in printed
    np.testing.assert_array_equal(
        read_labels(tmp_path / "run", "a"), label_scene(planar(PICTURE), None, PROFILE)
    )


@pytest.fixture(params=["none", "another"])
def wrong(request, tmp_path):
    """Options of somebody who does not know the secret."""
    if request.param == "none":
        return []
    write_properties(tmp_path / "other.conf")
    return ["--properties-file", tmp_path / "other.conf"]


def refusal(process, log, said):
    """Wait until a process has said in its log that the master does not hear it, and return the log."""
    try:
        spark_cluster.wait_for(
            lambda: said in log.read_text() or process.poll() is not None, said, log.read_text
        )
    finally:
        spark_cluster.kill_group(process)
    return log.read_text()


def test_a_driver_without_the_secret_is_not_heard(master, tmp_path, wrong):
    log = tmp_path / "log"
    with log.open("w") as stream:
        process = job(master, tmp_path, wrong, stdout=stream)
    said = "Failed to connect to master"
    assert said in refusal(process, log, said)
    assert not list(tmp_path.glob("run/labels/*/labels.tif"))


def test_a_worker_without_the_secret_gets_no_work(master, tmp_path, wrong):
    log = tmp_path / "log"
    command = [spark_cluster.SPARK_HOME / "bin/spark-class", "org.apache.spark.deploy.worker.Worker"]
    here = ["--host", "127.0.0.4", "--webui-port", "0", "--work-dir", tmp_path / "work"]
    with log.open("w") as stream:
        process = subprocess.Popen(
            list(map(str, [*command, *here, *wrong, master])),
            env=spark_cluster.bare_environment("127.0.0.4"),
            stdout=stream, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    said = "Failed to connect to master"
    printed = refusal(process, log, said)
    assert said in printed
    assert "Successfully registered" not in printed
