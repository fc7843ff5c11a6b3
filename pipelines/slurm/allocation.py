"""What Slurm says of the job that this process is the batch step of."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Final, NamedTuple, Self

from labeling.errors import ConfigError

PATIENCE_S: Final = 30
"""Seconds for an answer of Slurm: its programs wait for minutes where the controller is down."""


class Allocation(NamedTuple):
    """A job of Slurm, as its batch step sees it."""

    job: str
    nodes: list[str]
    """Names; the first is this one."""
    restarts: int
    """How often it was queued again."""

    @classmethod
    def here(cls) -> Self:
        """Return the allocation of this process; ConfigError outside of a batch job."""
        try:
            job, listed = os.environ["SLURM_JOB_ID"], os.environ["SLURM_JOB_NODELIST"]
        except KeyError:
            raise ConfigError(
                "this is no job of Slurm: start it with sbatch, as in: sbatch jobs/slurm/label.sbatch "
                "--scenes scenes/ --out RUN"
            ) from None
        nodes = _slurm("scontrol", "show", "hostnames", listed).split()
        return cls(job, nodes, int(os.environ.get("SLURM_RESTART_COUNT", 0)))

    def address(self, node: str) -> str:
        found = re.search(r"NodeAddr=(\S+)", _slurm("scontrol", "-o", "show", "node", node))
        return found[1] if found else node

    def state(self) -> str:
        """Return what the job is for Slurm: RUNNING, or COMPLETING where Slurm is ending it."""
        found = re.search(r"JobState=(\S+)", _slurm("scontrol", "-o", "show", "job", self.job))
        return found[1] if found else "UNKNOWN"

    def again(self, most: int) -> bool:
        """Queue the job again unless that was done `most` times; False then, or where Slurm ends it itself."""
        if self.restarts >= most or self.state() != "RUNNING":
            return False
        _slurm("scontrol", "requeue", self.job)
        return True


def _slurm(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise ConfigError(f"{' '.join(command)} failed: {error}") from None
    return done.stdout
