"""Spark's Python daemon, started ahead of Java: whose children workers are, and that none stays behind."""

import json
import os
import socket
import subprocess
import sys
import threading

import psutil
import pytest
from conftest import ROOT

from pipelines.engine import daemon

pytestmark = pytest.mark.slow

JOB = """
import json, os, signal
import psutil
from pipelines.engine.settings import SparkSettings
from pipelines.engine.session import spark_session

def parent(_):
    import os, psutil
    found = psutil.Process(os.getppid())
    return [(found.pid, found.cmdline()[1:3], os.environ["SPARK_REUSE_WORKER"])]

def parents(spark):
    return spark.sparkContext.parallelize([0, 1], 2).mapPartitions(parent).collect()

with spark_session("test", SparkSettings(master="local[2,4]")) as spark:
    first = parents(spark)
    os.killpg(first[0][0], signal.SIGKILL)  # with its idle workers, which would be used again
    second = parents(spark)
    started = psutil.Process().children(recursive=True)
    pythons = [process for process in started if process.name().startswith("python")]
assert pythons
print(json.dumps([first, second]))
ended, left = psutil.wait_procs(pythons, 30)  # Java does not wait for its daemon's end
print(json.dumps([str(process) for process in left]))
"""


def test_workers_are_forked_by_the_daemon_started_ahead_and_by_javas_own_where_that_is_gone():
    ended = subprocess.run([sys.executable, "-c", JOB], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    parents, left = map(json.loads, ended.stdout.splitlines())
    for found, module in zip(parents, ("pipelines.engine.warm", "pipelines.engine.daemon"), strict=True):
        assert {(tuple(command), reuse) for _, command, reuse in found} == {(("-m", module), "1")}
    assert left == []


def test_one_that_nobody_takes_ends_with_the_block():
    before = psutil.Process().children()  # other tests keep a session
    with daemon.started_ahead():
        assert daemon.ADDRESS in os.environ
        (waiting,) = set(psutil.Process().children()) - set(before)
        assert "pipelines.engine.warm" in waiting.cmdline()
    assert not waiting.is_running()
    assert daemon.ADDRESS not in os.environ


def test_one_that_died_while_it_warmed_up_is_not_waited_for(monkeypatch, tmp_path):
    monkeypatch.setenv(daemon.ADDRESS, str(tmp_path / "daemon"))
    with socket.socket(socket.AF_UNIX) as entry:
        entry.bind(os.environ[daemon.ADDRESS])
        entry.listen()
        threading.Thread(target=lambda: entry.accept()[0].close()).start()
        assert not daemon.hand_over()


def test_without_one_that_waits_there_is_nobody_to_hand_over_to(monkeypatch, tmp_path):
    monkeypatch.delenv(daemon.ADDRESS, raising=False)
    assert not daemon.hand_over()
    monkeypatch.setenv(daemon.ADDRESS, str(tmp_path / "gone"))
    assert not daemon.hand_over()
