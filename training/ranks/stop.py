"""SIGTERM, the way a batch system ends a job: finish the step, write a checkpoint, ask to be queued again.

A batch script that starts `python -m jobs.train`, with `--ranks` or without, sees exit code 75 (EX_TEMPFAIL);
jobs/slurm/train.sbatch queues itself again then.
`horovodrun` turns every code of its ranks into 1, so the model folder also gets a mark, requeue.json, which
the next run of that training takes away:

    horovodrun -np 8 python -m jobs.train --chips RUN/chips --out RUN/model --resume
    if [ -f RUN/model/requeue.json ]; then scontrol requeue "$SLURM_JOB_ID"; fi

`horovodrun` hands a SIGTERM on to its ranks and kills them 5 seconds later. Where a step takes longer, have
the signal sent to the ranks themselves, or set `checkpoint_steps`.
"""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType, TracebackType
from typing import Final, Self

from labeling.files.atomic import write_json

REQUEUE: Final = 75
"""Exit code of a job that was asked to end and can go on with --resume."""

MARK: Final = "requeue.json"
"""Its mark in the model folder."""


class Stop:
    """Whether this process was asked to end. As a context manager it listens to SIGTERM; main thread only."""

    def __init__(self) -> None:
        self.requested = False

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGTERM, self._ask)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.signal(signal.SIGTERM, self._before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.requested = True


def leave_mark(out: Path, *, epoch: int, seen: int, steps: int) -> None:
    """Write the mark: the epoch that was running, how many of its chips were seen, and updates in all."""
    write_json(out / MARK, {"reason": "SIGTERM", "epoch": epoch, "chips_seen": seen, "steps": steps})
