"""Print what one rank's place is like, which jobs.slurm.train asks on all nodes first."""

from __future__ import annotations

import sys
from pathlib import Path

from training.slurm.facts import lines, look


def main(arguments: list[str] | None = None) -> int:
    """Look, for the file that should be there, and return the exit code."""
    (nonce,) = sys.argv[1:] if arguments is None else arguments
    for line in lines(look(Path(nonce))):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
