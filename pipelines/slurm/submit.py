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
from pipelines.slurm.cluster import Cluster, SparkError
from pipelines.slurm.daemons import SPARK_HOME, daemon_environment, end
from pipelines.slurm.worker import LOOK_S
from training.launch.processes import Signals

ASKED: Final = 128 + signal.SIGTERM
"""Exit code of a job that was asked to end, and did."""

LAST_WORDS_S: Final = 30.0
"""Seconds in which a driver that was asked to end should have given its lock back and ended."""


def submit(cluster: Cluster, main: Path, arguments: Sequence[str], here: str, code: Path) -> int:
    """Run a main file and return its exit code, 143 where it was asked to end; SparkError without Spark.

    `here` is this node's address. SIGTERM and SIGINT are handed on to the driver alone: it stops Spark itself.
    """
    command = [
        str(SPARK_HOME / "bin" / "spark-submit"), "--master", cluster.master,
        "--properties-file", str(cluster.properties), str(main), *arguments,
    ]  # fmt: skip
    path = os.pathsep.join(filter(None, [str(code), os.environ.get("PYTHONPATH")]))
    # Driver and workers are to be this Python: it lies at the same place on every node.
    pythons = dict.fromkeys(("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON"), sys.executable)
    environment = daemon_environment(here) | {"PYTHONPATH": path} | pythons
    with Signals() as signals:
        with java.without_its_notice():
            driver = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, process_group=0)
        try:
            while driver.poll() is None:
                if signals.noted:
                    return _ask(driver)
                if said := cluster.trouble():
                    _ask(driver)
                    raise SparkError(said)
                time.sleep(LOOK_S)
            return driver.returncode if driver.returncode >= 0 else 128 - driver.returncode
        finally:
            end(driver)


def _ask(driver: subprocess.Popen[bytes]) -> int:
    """Ask a driver to end and return its exit code: 143, or another where it was done at that moment."""
    for process in python_of(driver.pid) or [driver.pid]:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        code = driver.wait(LAST_WORDS_S)
        return code if code >= 0 else 128 - code
    return ASKED


def python_of(java: int) -> list[int]:
    """Return the processes that one has started: of spark-submit's Java it is the driver's Python."""
    found: list[int] = []
    for file in Path(f"/proc/{java}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, file.read_text().split())
    return found
