"""What Slurm gave a job: nodes, ranks on each, and how often it has begun anew."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from labeling.errors import ConfigError

ANSWER_S: Final = 60
"""Seconds that a command of Slurm's may take: its clients wait for minutes where the controller is away."""

Command = Callable[..., str]
"""Runs a command of Slurm's and returns what it printed."""


class Allocation(NamedTuple):
    """Nodes of a job, and what runs on them."""

    job: str
    """Slurm's number of the job."""
    ranks: dict[str, int]
    """Ranks on each node, by its name and in the order of the ranks."""
    processors: int | None
    """Of each rank; None where nobody said."""
    restarts: int
    """How often Slurm has begun this job anew."""

    @property
    def size(self) -> int:
        """Ranks in all."""
        return sum(self.ranks.values())


def slurm(*command: str) -> str:
    """Run a command of Slurm's and return what it printed; ConfigError where it fails or does not answer."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_S, check=False)
    except FileNotFoundError:
        raise ConfigError(
            f"there is no {command[0]} on PATH; go to a login node or a node of the cluster"
        ) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(
            f"`{' '.join(command)}` does not answer: {error}. Is Slurm's controller up?"
        ) from None
    if done.returncode:
        raise ConfigError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
    return done.stdout


def allocation(variables: Mapping[str, str], run: Command = slurm) -> Allocation:
    """Return the allocation that a batch script's variables tell of; ConfigError outside of one."""
    try:
        job, nodes = variables["SLURM_JOB_ID"], variables["SLURM_JOB_NODELIST"]
        counts = tasks(variables["SLURM_TASKS_PER_NODE"])
    except KeyError as error:
        raise ConfigError(
            f"{error.args[0]} is not set, so this is no job of Slurm's: submit it with sbatch, or start "
            "`python -m jobs.train --ranks N …` on one machine"
        ) from None
    names = run("scontrol", "show", "hostnames", nodes).split()
    if len(names) != len(counts):
        raise ConfigError(
            f"Slurm tells of {len(names)} nodes ({nodes}) and of ranks on {len(counts)}: "
            "ask for --nodes and --ntasks-per-node"
        )
    processors = variables.get("SLURM_CPUS_PER_TASK")
    return Allocation(
        job=job,
        ranks=dict(zip(names, counts, strict=True)),
        processors=int(processors) if processors else None,
        restarts=int(variables.get("SLURM_RESTART_COUNT") or 0),
    )


def tasks(text: str) -> list[int]:
    """Return the number of tasks on each node.

    >>> tasks("8(x3),4")
    [8, 8, 8, 4]
    """
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part)
        if match is None:
            raise ConfigError(f"SLURM_TASKS_PER_NODE is {text!r}, and not like 8(x3),4")
        found += [int(match[1])] * int(match[2] or 1)
    return found


def shown(names: Sequence[str]) -> str:
    """Return names for a message: not hundreds.

    >>> shown(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    more = len(names) - 3
    return ", ".join(names[:3]) + (f" and {more} more" if more > 0 else "")
