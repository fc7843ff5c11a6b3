"""Train on all nodes of a Slurm allocation: what train.sbatch becomes.

    python -m jobs.slurm.train --chips RUN/chips --out RUN/model

Takes the options of jobs.train. It looks at the nodes first, and runs jobs.train as one rank a task, over a
rendezvous of its own, without ssh. It needs nothing but Python and Slurm's commands itself; --python names
what the ranks need. The training goes on from its checkpoint where there is one (--resume); --overwrite is
for the first start. SIGTERM reaches every rank; when all have written a checkpoint (exit code 75) the
job queues itself again, and so it does when a node is gone. Exit code: 0 done, 2 usage or configuration, 75
not done but to be gone on with, else that of the first rank that failed. RUN/logs has what every rank said.
"""

from __future__ import annotations

import os
import shlex
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path

from labeling.errors import ConfigError
from training.slurm.allocation import allocation
from training.slurm.run import Job, run_job


def parser() -> ArgumentParser:
    """Return the parser of what is not for jobs.train."""
    options = ArgumentParser(
        "jobs.slurm.train",
        description=__doc__,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,  # what it does not know is for jobs.train
    )
    options.add_argument(
        "--python", type=shlex.split, default=[sys.executable], metavar="WORDS",
        help="what runs Python on a node: 'apptainer exec image.sif python' (default: the Python of this)",
    )  # fmt: skip
    options.add_argument(
        "--srun", type=shlex.split, default=[], metavar="OPTIONS", help="further options of srun"
    )
    options.add_argument(
        "--nodes-network",
        metavar="10.0.0.0/16",
        help="where ranks meet (default: the first that all nodes share)",
    )
    options.add_argument(
        "--requeues", type=int, default=20, metavar="N", help="how often it may begin anew (default: 20)"
    )
    options.add_argument(
        "--logs", type=Path, metavar="FOLDER",
        help="where each rank's words go, on a file system that all nodes see (default: logs beside --out)",
    )  # fmt: skip
    options.add_argument("--out", type=Path, metavar="FOLDER", help="model folder to write")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Train for these command-line arguments and return the exit code."""
    given, rest = parser().parse_known_args(arguments)
    try:
        if given.logs is None and given.out is None:
            raise ConfigError("give --out, the model folder to write, or --logs, a folder for what ranks say")
        where = allocation(os.environ)
        out = ["--out", str(given.out)] if given.out else []
        job = Job(
            given=where,
            python=given.python,
            program=["-m", "jobs.train", *going_on([*rest, *out], where.restarts)],
            logs=(given.logs or given.out.parent / "logs").absolute() / f"{where.job}.{where.restarts}",
            network=given.nodes_network,
            options=given.srun,
            requeues=given.requeues,
        )
        return run_job(job)
    except ConfigError as error:
        print(f"slurm: {error}", file=sys.stderr)
        return 2


def going_on(options: Sequence[str], restarts: int) -> list[str]:
    """Return the options of jobs.train for a start of the job that may be its first or a later one.

    >>> going_on(["--out", "model"], 0)
    ['--out', 'model', '--resume']
    >>> going_on(["--out", "model", "--overwrite"], 0), going_on(["--out", "model", "--overwrite"], 1)
    (['--out', 'model', '--overwrite'], ['--out', 'model', '--resume'])
    """
    if "--overwrite" in options and not restarts:
        return list(options)
    return [each for each in options if each not in ("--overwrite", "--resume")] + ["--resume"]


if __name__ == "__main__":
    sys.exit(main())
