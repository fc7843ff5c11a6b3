"""Starts Horovod jobs for the tests."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

ROOT = Path(__file__).parents[2]
HOROVODRUN = Path(sys.executable).with_name("horovodrun")


class Ended(NamedTuple):
    code: int
    output: str


def horovodrun(ranks, *command, timeout=120, flags=()):
    """Run a command on several ranks from the repository's root; fails the test when it does not end."""
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"}  # horovodrun itself loads TensorFlow
    job = subprocess.Popen(
        # --gloo only spares horovodrun from loading TensorFlow a second time to see what it was built with.
        [HOROVODRUN, "--gloo", "-np", str(ranks), *map(str, [*flags, *command])],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = job.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        kill_all(job.pid)
        output, _ = job.communicate()
        raise AssertionError(f"still running after {timeout} s:\n{output}") from None
    return Ended(job.returncode, output)


def kill_all(pid):
    """Kill horovodrun and its ranks, which are in process groups of their own."""
    started = psutil.Process(pid).children(recursive=True)
    os.killpg(pid, signal.SIGKILL)
    for process in started:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def train(*arguments, ranks=2, timeout=120, flags=()):
    """Run `jobs.train` on several ranks."""
    command = [sys.executable, "-m", "jobs.train", *arguments]
    return horovodrun(ranks, *command, timeout=timeout, flags=flags)
