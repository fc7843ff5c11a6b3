"""Spark's standalone daemons as processes: how they are started, and that nothing is left of them."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Final

import pyspark

from pipelines.engine.java import QUICK

SPARK_HOME: Final = Path(pyspark.__file__).parent

GRACE_S: Final = 10.0
"""Seconds between asking a daemon to end and ending it."""


def daemon_command(name: str, address: str, properties: Path, *more: str) -> list[str]:
    """Return the command of a daemon, `master.Master` or `worker.Worker`, that listens at an address.

    Names would do where they resolve to that address, but Debian's /etc/hosts has 127.0.1.1 for a machine's
    own, and then nobody else is heard.
    """
    return [
        str(SPARK_HOME / "bin" / "spark-class"), f"org.apache.spark.deploy.{name}",
        "--host", address, "--webui-port", "0", "--properties-file", str(properties), *more,
    ]  # fmt: skip


def daemon_environment(address: str) -> dict[str, str]:
    """Return the environment of a daemon that listens at an address, and of what it starts."""
    return dict(os.environ) | {
        "SPARK_HOME": str(SPARK_HOME),
        "SPARK_LOCAL_IP": address,
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_DAEMON_JAVA_OPTS": QUICK,
    }


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and its group: asked first, and killed where it does not listen."""
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
