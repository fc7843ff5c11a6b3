"""Who holds a folder: a process that another job can tell from all others, also after it has ended."""

from __future__ import annotations

import os
import shlex
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field

from labeling.files.redact import without_secrets

LONGEST: Final = 300
"""Characters of a command that are kept."""


class Holder(BaseModel):
    """A lock's content. Of one that cannot be read only the token is known."""

    model_config = ConfigDict(frozen=True)

    token: str = Field(pattern="^[0-9a-f]{32}$")
    """Never used twice."""
    job: str = "an unknown job"
    host: str = "unknown"
    machine: str = ""
    """Which set of process numbers `pid` is one of: two containers on one host have each their own."""
    pid: int = Field(0, ge=0, lt=2**31)
    process: str = ""
    """When the process began, in the kernel's count: numbers are used again. Empty where that is not told."""
    since: str = "unknown"
    command: str = "unknown command"
    batch: str = ""
    """The batch system's job that it belongs to, empty for none."""
    start: int = 0
    """How often that job had begun anew: after a node was lost, at a time limit."""

    def __str__(self) -> str:
        return f"{self.job} (host {self.host}, process {self.pid}, since {self.since})"

    def runs(self) -> bool | None:
        """Tell whether the process is still there; None where it cannot be looked at from here.

        A job that a batch system begins anew has nothing left of its earlier starts, on whatever host.
        """
        batch, start = batch_start()
        if batch and batch == self.batch and self.start < start:
            return False
        began = start_of(self.pid) if self.machine == machine() else ""
        if began is None:
            return False
        return began == self.process if began and self.process else None


def introduce(job: str) -> Holder:
    """Return this process as a holder, with a new token."""
    batch, start = batch_start()
    return Holder(
        token=uuid4().hex,
        job=job,
        host=socket.gethostname(),
        machine=machine(),
        pid=os.getpid(),
        process=start_of(os.getpid()) or "",
        since=datetime.now(UTC).isoformat(timespec="seconds"),
        command=_command(),
        batch=batch,
        start=start,
    )


def batch_start(variables: Mapping[str, str] = os.environ) -> tuple[str, int]:
    """Return which job of Slurm's this is, empty for none, and how often it has begun anew."""
    if "SLURM_JOB_ID" not in variables:
        return "", 0
    restarts = variables.get("SLURM_RESTART_COUNT", "")
    cluster = variables.get("SLURM_CLUSTER_NAME", "")
    return f"{cluster} {variables['SLURM_JOB_ID']}", int(restarts) if restarts.isdecimal() else 0


def _command() -> str:
    """Return what was typed, as far as a message can hold it: a glob may have become thousands of scenes."""
    whole = without_secrets(shlex.join(sys.orig_argv))
    return whole if len(whole) <= LONGEST else f"{whole[:LONGEST]} …"


@cache
def machine() -> str:
    """Return what processes that can look at each other have in common: a boot and a namespace of numbers."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    return socket.gethostname()


def start_of(pid: int) -> str | None:
    """Return when a process of this machine began; None when it has ended, empty when that is not told."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass  # it is there, and somebody else's
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return ""  # not Linux, or a system that hides what others do
    # A zombie has ended, however long nobody asks how.
    return None if fields[0] in (b"Z", b"X") else fields[19].decode()
