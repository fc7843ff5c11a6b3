"""How a Spark job over scenes ends: what is done, what failed and why, and the exit code."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from labeling.files.layout import Run, record_failures, record_job
from labeling.settings import Settings
from pipelines.engine.scenes import CatalogRow, Failure


class ExitCode(IntEnum):
    """Exit codes of every job."""

    DONE = 0
    ERROR = 1
    USAGE = 2
    SOME_FAILED = 3


class Outcome(NamedTuple):
    """Result of a job over many scenes."""

    done: int
    failures: tuple[Failure, ...]

    @property
    def exit_code(self) -> ExitCode:
        """0 when every scene is done, 3 when some failed."""
        return ExitCode.SOME_FAILED if self.failures else ExitCode.DONE


def close_job(
    run: Run, job: str, started: float, config: Settings, rows: list[CatalogRow], failures: list[Failure]
) -> Outcome:
    """Write the run's record of a job and its failures; return the outcome.

    `rows` are the scenes the job could open, `started` is in seconds since the epoch.
    """
    failed = {failure.scene for failure in failures}
    outcome = Outcome(sum(row.scene_id not in failed for row in rows), tuple(failures))
    record_failures(run, job, [failure._asdict() for failure in failures])
    summary = {"scenes_done": outcome.done, "scenes_failed": len(failed)}
    record_job(run, job, started, config.model_dump(mode="json"), summary)
    return outcome
