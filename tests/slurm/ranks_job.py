"""A batch step whose ranks run a file of Python."""

import os
import sys
from argparse import ArgumentParser
from pathlib import Path

from labeling.errors import ConfigError
from training.slurm.allocation import allocation
from training.slurm.run import Job, run_job

options = ArgumentParser()
options.add_argument("file")
options.add_argument("logs", type=Path)
options.add_argument("--requeues", type=int, default=3)
options.add_argument("--python", default=sys.executable)
options.add_argument("--network")
given = options.parse_args()
where = allocation(os.environ)
logs = given.logs / str(where.restarts)
try:
    job = Job(where, [given.python], [given.file], logs, network=given.network, requeues=given.requeues)
    sys.exit(run_job(job))
except ConfigError as error:
    print(f"slurm: {error}", file=sys.stderr)
    sys.exit(2)
