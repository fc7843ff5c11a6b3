"""What a worker shows CUDA; tests/cluster/test_gpus_cluster.py has Spark give it."""

import subprocess

import pytest
from conftest import ROOT

from labeling.errors import ConfigError
from pipelines import worker_gpu
from pipelines.worker_gpu import check_executors, show, show_assigned

TOLD = {"spark.task.resource.gpu.amount": "1", "spark.executor.resource.gpu.amount": "1"}


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(worker_gpu, "_shown", None)


def test_a_worker_shows_the_gpu_it_was_given():
    variables = {"CUDA_VISIBLE_DEVICES": "0,1,2,3"}
    show(["3"], variables)
    show(["3"], variables)
    assert variables == {"CUDA_VISIBLE_DEVICES": "3", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def test_a_worker_without_a_gpu_of_its_own_shows_none():
    variables = {"CUDA_VISIBLE_DEVICES": "0", "CUDA_DEVICE_ORDER": "FASTEST_FIRST"}
    show([], variables)
    assert variables == {"CUDA_VISIBLE_DEVICES": "", "CUDA_DEVICE_ORDER": "FASTEST_FIRST"}


def test_a_worker_cannot_move_to_another_gpu():
    variables = {}
    show(["3"], variables)
    with pytest.raises(ConfigError, match=r"uses GPU 3 was given 4: set spark.python.worker.reuse=false"):
        show(["4"], variables)
    assert variables["CUDA_VISIBLE_DEVICES"] == "3"


def test_outside_of_a_task_nothing_changes(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    show_assigned()
    assert worker_gpu._shown is None


@pytest.mark.parametrize(
    "more", [{"spark.executor.resource.gpu.amount": "8"}, {"spark.executor.resource.gpu.amount": "2"}]
)
def test_executors_with_several_gpus_need_new_workers(more):
    with pytest.raises(ConfigError, match=r"each executor has \d GPUs.*spark.python.worker.reuse=false"):
        check_executors(TOLD | more)
    check_executors(TOLD | more | {"spark.python.worker.reuse": "false"})
    check_executors(more)  # its tasks ask for none


def test_executors_with_one_gpu_or_without_are_fine():
    check_executors(TOLD)
    check_executors({})


@pytest.mark.parametrize(
    ("given", "told"),
    [("0,3", '["0","3"]'), ("GPU-8932f937, GPU-5f1c", '["GPU-8932f937","GPU-5f1c"]'), ("", "[]")],
)
def test_the_script_tells_spark_the_gpus_of_a_batch_systems_job(given, told):
    assert discovered({"CUDA_VISIBLE_DEVICES": given}) == f'{{"name": "gpu", "addresses": {told}}}\n'


def test_the_script_asks_nvidias_own_where_nothing_was_given(tmp_path):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nprintf '0\\n1\\n'\n")
    tool.chmod(0o755)
    assert discovered({}, f"{tmp_path}:") == '{"name": "gpu", "addresses": ["0","1"]}\n'


def discovered(variables, path=""):
    environment = {"PATH": f"{path}/usr/bin:/bin"} | variables
    script = ROOT / "jobs/discover_gpus.sh"
    return subprocess.run([script], env=environment, capture_output=True, text=True, check=True).stdout


def test_gpus_that_nobody_is_given_are_told_of(tmp_path, monkeypatch, caplog):
    for name in ("nvidia0", "nvidia1", "nvidiactl"):
        (tmp_path / "dev").mkdir(exist_ok=True)
        (tmp_path / "dev" / name).touch()
    check_executors({}, tmp_path)  # hidden on purpose, as in all tests
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    check_executors(TOLD, tmp_path)
    check_executors({}, tmp_path / "other")
    assert not caplog.records
    check_executors({}, tmp_path)
    assert "has 2 GPUs, and maps are drawn on its processors" in caplog.text
