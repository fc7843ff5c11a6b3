"""One job sent to Spark, watched to its end: what it returns, or that it was asked to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from pipelines.engine import java
from pipelines.engine.outcome import ExitCode
from pipelines.slurm.cluster import AskedError, Cluster, SparkError
from pipelines.slurm.daemons import SPARK_HOME, daemon_environment, end
from pipelines.slurm.worker import LOOK_S
from training.launch.processes import Signals

LAST_WORDS_S: Final = 30.0
"""Seconds in which a driver that was asked to end should have given its lock back and ended."""


def submit(
    cluster: Cluster, main: Path, arguments: Sequence[str], *, here: str, code: Path, signals: Signals
) -> int:
    """Run a main file and return its exit code; SparkError without Spark, AskedError when asked to end.

    `here` is this node's address, and the project lies in `code`. What was asked of us is asked of the
    driver's Python alone: that stops Spark itself, and gives the run folder back.
    """
    command = [
        str(SPARK_HOME / "bin" / "spark-submit"), "--master", cluster.master,
        "--properties-file", str(cluster.properties), str(main), *arguments,
    ]  # fmt: skip
    path = os.pathsep.join(filter(None, [str(code), os.environ.get("PYTHONPATH")]))
    # Driver and workers are to be this Python: it lies at the same place on every node.
    pythons = dict.fromkeys(("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON"), sys.executable)
    environment = daemon_environment(here) | {"PYTHONPATH": path} | pythons
    with java.without_its_notice():
        driver = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, process_group=0)
    try:
        while driver.poll() is None and not signals.noted:
            if said := cluster.trouble():
                raise SparkError(said)
            time.sleep(LOOK_S)
    finally:
        if driver.poll() is None:
            _ask(driver)
        end(driver)
    ended = driver.returncode if driver.returncode >= 0 else 128 - driver.returncode
    if signals.noted and ended not in (
        ExitCode.DONE,
        ExitCode.SOME_FAILED,
    ):  # else it was done at that moment
        raise AskedError("asked to end")
    return ended


def _ask(driver: subprocess.Popen[bytes]) -> None:
    """Ask a driver to end, and give it time to."""
    for process in started_by(driver.pid) or [driver.pid]:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        driver.wait(LAST_WORDS_S)


def started_by(parent: int) -> list[int]:
    """Return the processes that one has started: of spark-submit's Java it is the driver's Python."""
    found: list[int] = []
    for file in Path(f"/proc/{parent}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, file.read_text().split())
    return found
