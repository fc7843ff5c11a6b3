"""Spark's standalone master and two workers as processes of this machine, and jobs submitted to them.

The workers have loopback addresses of their own, so that Spark takes them for two hosts: it never tries a
task a second time on the host where the first attempt is running.
"""

import os
import shlex
import signal
import socket
import stat
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy
import pyspark
import pytest

SPARK_HOME = Path(pyspark.__file__).parent
PACKAGES = Path(numpy.__file__).parents[1]
MASTER, *WORKERS = "127.0.0.1", "127.0.0.2", "127.0.0.3"
JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""What starts sooner and would slow down a longer job."""


def wait_for(condition, what, told=str, seconds=300):
    """Wait until `condition` returns something, and return that; `told` says what was seen instead."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"waited for {what}, in vain:\n{told()[-4000:]}")
        time.sleep(0.05)
    return found


@contextmanager
def standalone(folder, options=()):
    """Yield the URL of a master with two workers of one core each; their files go to `folder`.

    `options` go to each of them.
    """
    url = f"spark://{MASTER}:{_free_port()}"
    log = folder / "daemons.log"
    here = ["--webui-port", "0", *map(str, options)]
    daemons = [(MASTER, ["master.Master", "--host", MASTER, "--port", url.rpartition(":")[2], *here])]
    daemons += [
        (host, ["worker.Worker", "--host", host, "--cores", "1", "--memory", "1g", *here,
                "--work-dir", str(folder / host), url])
        for host in WORKERS
    ]  # fmt: skip
    with log.open("w") as output:
        processes = [
            subprocess.Popen(
                [str(SPARK_HOME / "bin/spark-class"), f"org.apache.spark.deploy.{name}", *arguments],
                env=bare_environment(host), stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )
            for host, (name, *arguments) in daemons
        ]  # fmt: skip
    try:
        text = log.read_text
        wait_for(lambda: text().count("Successfully registered with master") == 2, "the workers", text)
        yield url
    finally:
        for process in processes:
            kill_group(process)


def bare_environment(host=MASTER, **more):
    """Return the environment of somebody who has Spark and Java, but has not set Python's path."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("PYTHON", "PYSPARK"))}
    return kept | {
        "SPARK_HOME": str(SPARK_HOME), "SPARK_LOCAL_IP": host, "SPARK_DAEMON_JAVA_OPTS": JAVA, **more
    }  # fmt: skip


def python_without_project(folder):
    """Return an interpreter that has our packages but not the project.

    `-S` leaves out what an editable install adds to Python's path.
    """
    script = folder / "python"
    script.write_text(
        f'#!/bin/sh\nPYTHONPATH="${{PYTHONPATH:+$PYTHONPATH:}}"{shlex.quote(str(PACKAGES))}\n'
        f'export PYTHONPATH\nexec {shlex.quote(sys.executable)} -S "$@"\n'
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return script


def submit(master, main, *arguments, python=sys.executable, options=(), **more):
    """Start `spark-submit main arguments` in a process group of its own; its output is one stream."""
    command = [
        SPARK_HOME / "bin/spark-submit", "--master", master, "--conf", f"spark.driver.host={MASTER}",
        "--conf", "spark.executor.memory=512m", "--conf", f"spark.executor.extraJavaOptions={JAVA}",
        "--driver-java-options", JAVA, *options, main, *arguments,
    ]  # fmt: skip
    environment = bare_environment(PYSPARK_PYTHON=str(python), **more.pop("env", {}))
    return subprocess.Popen(
        [str(part) for part in command], env=environment, text=True, start_new_session=True,
        **({"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT} | more),
    )  # fmt: skip


def run(*arguments, **more):
    """Do as `submit` and wait; return the exit code and what was printed."""
    process = submit(*arguments, **more)
    try:
        printed, _ = process.communicate(timeout=600)
    finally:
        kill_group(process)
    return process.returncode, printed


def kill_group(process):
    """Kill -9 a process and all it started: of a submitted job Spark's driver and the Python that it runs."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _free_port():
    with socket.socket() as server:
        server.bind((MASTER, 0))
        return server.getsockname()[1]
