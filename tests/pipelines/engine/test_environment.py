"""What other projects left in the environment does not decide what runs, and is not blamed on memory."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pyspark
import pytest
from conftest import ROOT, patchwork
from pictures import write_png
from pyspark.errors import PySparkException

from labeling.errors import ConfigError
from pipelines.engine.environment import check_java, settle_python, settle_spark, worker_fault
from pipelines.engine.isolate import isolating
from pipelines.engine.session import spark_session
from pipelines.engine.settings import SparkSettings


def java_home(folder, version):
    java = folder / "bin/java"
    java.parent.mkdir(parents=True)
    java.write_text("#!/bin/sh\nexit 1\n")
    java.chmod(0o755)
    (folder / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    return str(folder)


def test_a_java_home_without_java_is_told_before_anything_starts(monkeypatch, tmp_path):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "gone"))
    with pytest.raises(ConfigError, match=r"JAVA_HOME is .*gone, which has no bin/java .*Unset JAVA_HOME"):
        check_java()


@pytest.mark.parametrize(("version", "told"), [("1.8.0_392", "is Java 8"), ("11.0.21", "is Java 11")])
def test_an_old_java_is_told(monkeypatch, tmp_path, version, told):
    monkeypatch.setenv("JAVA_HOME", java_home(tmp_path / "jdk", version))
    with pytest.raises(ConfigError, match=told):
        check_java()


def test_a_java_that_fits_passes(monkeypatch, tmp_path):
    monkeypatch.setenv("JAVA_HOME", java_home(tmp_path / "jdk", "21.0.4"))
    check_java()


def test_no_java_at_all_is_told(monkeypatch):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigError, match=r"no java is on PATH\. Install Java 17"):
        check_java()


def test_a_stale_spark_home_is_overruled(monkeypatch, tmp_path):
    monkeypatch.setenv("SPARK_HOME", str(tmp_path))
    settle_spark()
    assert os.environ["SPARK_HOME"] == str(Path(pyspark.__file__).parent)


def other_python(folder):
    """Return an interpreter that says it is Python 3.8."""
    script = folder / "python"
    script.write_text("#!/bin/sh\necho 3.8\n")
    script.chmod(0o755)
    return str(script)


def test_workers_of_this_machine_run_this_python(monkeypatch, tmp_path):
    monkeypatch.setenv("PYSPARK_PYTHON", other_python(tmp_path))
    settle_python(ours=True)
    assert os.environ["PYSPARK_PYTHON"] == sys.executable


def test_workers_elsewhere_need_the_same_version(monkeypatch, tmp_path):
    monkeypatch.setenv("PYSPARK_PYTHON", other_python(tmp_path))
    with pytest.raises(ConfigError, match=r"is Python 3\.8, and this is Python 3\.1"):
        settle_python(ours=False)
    monkeypatch.setenv("PYSPARK_PYTHON", "./only/there/python")
    settle_python(ours=False)
    assert os.environ["PYSPARK_PYTHON"] == "./only/there/python"


@pytest.mark.parametrize(
    "text",
    [
        "PythonException: …\nModuleNotFoundError: No module named 'labeling'\n",
        "[PYTHON_VERSION_MISMATCH] Python in worker has different version 3.8 than that in driver 3.11",
        'java.io.IOException: Cannot run program "./ship/bin/python": error=2',
        "SparkException: Error from python worker:\n  /usr/bin/python3: No module named pyspark",
    ],
)
def test_memory_is_not_blamed_when_a_worker_could_not_import(text):
    def label(*_):
        raise PySparkException(text)

    fault = worker_fault(PySparkException(text))
    assert "import the code" in fault
    assert "memory" not in fault
    scenes = [SimpleNamespace(), SimpleNamespace()]
    with pytest.raises(PySparkException):  # and not halved, scene by scene; the session makes it the sentence
        isolating(label, SimpleNamespace(), scenes, None)


@pytest.mark.slow
def test_every_job_tells_what_workers_could_not_import(one_spark_session):
    one_spark_session()  # this one ends its own
    missing = "ModuleNotFoundError: No module named 'labeling'"
    with (
        pytest.raises(ConfigError, match=f"{missing}.*docs/reliability.md"),
        spark_session("test", SparkSettings(master="local[1]")),
    ):
        raise PySparkException(f"PythonException: Traceback …\n{missing}\n")


def test_a_worker_that_died_is_no_such_fault():
    assert worker_fault(PySparkException("Lost task 0.3: ExecutorLostFailure (exit code 137)")) is None


@pytest.mark.slow
def test_a_job_runs_whatever_the_shell_says(tmp_path):
    write_png(tmp_path / "a.png", patchwork(64, 64))
    command = [sys.executable, "-m", "jobs.label", "--scenes", str(tmp_path / "a.png"), "--outputs", "labels"]
    command += ["--out", str(tmp_path / "run"), "--master", "local[1]"]
    stale = {"SPARK_HOME": str(tmp_path), "PYSPARK_PYTHON": "/usr/bin/false", "KERAS_BACKEND": "torch"}
    ended = subprocess.run(
        command, cwd=ROOT, env=os.environ | stale, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    broken = os.environ | {"JAVA_HOME": str(tmp_path)}
    (tmp_path / "run/labels/a/done.json").unlink()
    ended = subprocess.run(command, cwd=ROOT, env=broken, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "JAVA_HOME" in ended.stderr
