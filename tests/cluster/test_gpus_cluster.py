"""Spark's own resource scheduling, told of GPUs by a script: workers show their network what they were given.

No GPU is needed: Spark believes the script, and a TensorFlow that is shown a GPU that is not there computes
on the processor.
"""

import json

import numpy as np
import pytest
import spark_cluster
from conftest import ROOT, patchwork, planar
from map_runs import read_map
from pictures import write_tif

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

OWN = {"127.0.0.2": "4", "127.0.0.3": "7"}
"""GPU of each worker."""

GIVEN = ["--conf", "spark.executor.resource.gpu.amount=1", "--conf", "spark.task.resource.gpu.amount=1"]
PLAIN = [
    *("--conf", "spark.executorEnv.CUDA_VISIBLE_DEVICES=0,1"),
    *("--conf", f"spark.executorEnv.PYTHONPATH={ROOT}"),
]
CODE = {"env": {"PYTHONPATH": str(ROOT)}, "cwd": ROOT}


@pytest.fixture(scope="module")
def master(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpus")
    script = folder / "discover.sh"
    cases = " ".join(f"{host}) gpu={gpu};;" for host, gpu in OWN.items())
    answer = """printf '{"name": "gpu", "addresses": ["%s"]}\\n' $gpu"""
    script.write_text(f"#!/bin/sh\ncase $SPARK_LOCAL_IP in {cases} esac\n{answer}\n")
    script.chmod(0o755)
    properties = folder / "spark.conf"
    properties.write_text(
        f"spark.worker.resource.gpu.amount 1\nspark.worker.resource.gpu.discoveryScript {script}\n"
    )
    with spark_cluster.standalone(folder, ["--properties-file", properties]) as url:
        yield url


def probe(master, model, file, options):
    code, printed = spark_cluster.run(
        master, ROOT / "tests/cluster/gpu_probe.py", model, file, options=options, **CODE
    )
    assert code == 0, printed[-4000:]
    return json.loads(file.read_text())


def test_a_worker_shows_its_network_the_gpu_of_its_task(master, model, tmp_path):
    found = probe(master, model, tmp_path / "found.json", [*PLAIN, *GIVEN])
    assert {row["given"] for row in found} == set(OWN.values())
    assert [row["shown"] for row in found] == [row["given"] for row in found]
    # Each worker keeps its GPU over many tasks.
    assert len({(row["process"], row["given"]) for row in found}) == 2


def test_workers_that_are_given_no_gpu_show_none(master, model, tmp_path):
    found = probe(master, model, tmp_path / "found.json", PLAIN)
    assert {(row["given"], row["shown"]) for row in found} == {("", "")}


def test_a_map_of_workers_with_gpus_is_the_map_of_workers_without(master, model, tmp_path):
    """Here both are computed on the processor, the first by way of what Spark gives."""
    write_tif(tmp_path / "scenes/a.tif", planar(patchwork(300, 420, seed=1)))
    maps = []
    for name, options in (("given", [*PLAIN, *GIVEN]), ("plain", PLAIN)):
        arguments = ["--model", model, "--scenes", tmp_path / "scenes", "--out", tmp_path / name]
        arguments += ["--network", "alone"]
        code, printed = spark_cluster.run(master, ROOT / "jobs/infer.py", *arguments, options=options, **CODE)
        assert code == 0, printed[-4000:]
        maps.append(read_map(tmp_path / name, "a"))
    np.testing.assert_array_equal(*maps)


def test_executors_with_several_gpus_are_refused_with_the_way_out(model, tmp_path):
    """Before anything is asked of a cluster: one that has such executors is not needed."""
    write_tif(tmp_path / "scenes/a.tif", planar(patchwork(64, 64, seed=1)))
    options = ["--conf", "spark.executor.resource.gpu.amount=2", "--conf", "spark.task.resource.gpu.amount=1"]
    arguments = ["--model", model, "--scenes", tmp_path / "scenes", "--out", tmp_path / "run"]
    arguments += ["--network", "alone"]
    code, printed = spark_cluster.run("local[1]", ROOT / "jobs/infer.py", *arguments, options=options, **CODE)
    assert code == 2, printed[-4000:]
    assert "each executor has 2 GPUs" in printed
