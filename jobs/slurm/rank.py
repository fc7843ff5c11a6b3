"""Be one rank: jobs.slurm.train runs this as each task, and what it is given as the rank's own process."""

from __future__ import annotations

import sys

from training.slurm.rank import run_rank

if __name__ == "__main__":
    sys.exit(run_rank(sys.argv[1:]))
