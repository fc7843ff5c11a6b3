"""Starts jobs of several ranks for the tests."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil
from lean_start import lean_environment

ROOT = Path(__file__).parents[2]
HOROVODRUN = [Path(sys.executable).with_name("horovodrun"), "--gloo", "-np"]
LAUNCH = [sys.executable, "-m", "jobs.launch", "--ranks"]

LIMIT_S = 300
"""After which a job counts as hanging; ranks that wait for one that has gone would do so for 600 s."""


class Ended(NamedTuple):
    code: int
    output: str


def run_ranks(ranks, *command, timeout=LIMIT_S, flags=(), program=LAUNCH):
    """Run a command on several ranks from the repository's root; fails the test when it does not end."""
    environment = lean_environment()
    if program is HOROVODRUN:  # as a user starts it: set-up alone keeps TensorFlow quiet, not this process
        environment = {name: text for name, text in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    job = subprocess.Popen(
        list(map(str, [*program, ranks, *flags, *command])),
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
    """Kill a launcher and its ranks, which are in process groups of their own."""
    started = psutil.Process(pid).children(recursive=True)
    os.killpg(pid, signal.SIGKILL)
    for process in started:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def train(*arguments, ranks=2, **more):
    """Run `jobs.train` on several ranks."""
    return run_ranks(ranks, sys.executable, "-m", "jobs.train", *arguments, **more)
