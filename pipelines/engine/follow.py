"""How far the Spark jobs of a block are: the tasks that have ended, asked of Spark's status tracker.

That is all a driver knows without asking more of the workers. A wave of scenes is one Spark job or several,
one after the other, of one stage or several each; the stages of a job are all known when it begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Event
from typing import Final, NamedTuple
from uuid import uuid4

from pyspark import SparkContext, SparkStageInfo, StatusTracker

from labeling.files.periodic import periodically

EVERY: Final = 0.5
"""Seconds between two looks at Spark; a look takes some milliseconds."""

PATIENCE: Final = 2.0
"""Seconds that the end of a block waits for a look that hangs."""

_GROUP: Final = ("spark.jobGroup.id", "spark.job.description", "spark.job.interruptOnCancel")

Steps = Sequence[Sequence[str]]
"""What a wave does: of each of its Spark jobs, what its last stages do, in their order."""

Stages = Sequence[Sequence[SparkStageInfo]]
"""The same as Spark knows it so far: of each job, its stages."""


class Share(NamedTuple):
    """How much of a wave is done."""

    tasks: float
    """Of the tasks of all steps, each job counting alike, 0..1."""
    scenes: float
    """Of the tasks of the last step, 0..1."""
    step: str
    """The last step that has begun; empty when none has."""


NOTHING: Final = Share(0.0, 0.0, "")


def share_of(jobs: Stages, steps: Steps) -> Share:
    """Return what is done of a wave; what a job does before its steps, dealing rows out, takes no time."""
    tasks, scenes, begun = 0.0, 0.0, ""
    for stages, names in zip(jobs, steps, strict=False):  # the later jobs have not begun
        known = stages[-len(names) :]
        tasks += _done(known) / len(steps)
        for name, stage in zip(names[len(names) - len(known) :], known, strict=True):
            if stage.numActiveTasks + stage.numCompletedTasks:
                begun = name
    if len(jobs) >= len(steps):
        scenes = _done(jobs[len(steps) - 1][-1:])
    return Share(tasks, scenes, begun)


def _done(stages: Sequence[SparkStageInfo]) -> float:
    """Return the share of the stages' tasks that have ended, 0..1."""
    total = sum(stage.numTasks for stage in stages)
    return sum(stage.numCompletedTasks for stage in stages) / total if total else 0.0


def stages_of(tracker: StatusTracker, group: str) -> Stages:
    """Return the stages of each of a group's Spark jobs, as far as Spark knows them, all in their order."""
    found = []
    for job in sorted(tracker.getJobIdsForGroup(group)):
        info = tracker.getJobInfo(job)
        numbers = sorted(info.stageIds) if info is not None else []
        stages = [tracker.getStageInfo(number) for number in numbers]
        found.append([stage for stage in stages if stage is not None])
    return found


@contextmanager
def following(context: SparkContext, title: str, show: Callable[[Stages], None]) -> Iterator[None]:
    """Call `show` with the stages of the block's Spark jobs, every half second, from a thread."""
    group = f"polynya-{uuid4().hex}"
    before = {key: context.getLocalProperty(key) for key in _GROUP}
    context.setJobGroup(group, title)
    tracker = context.statusTracker()

    def look(ended: Event) -> None:
        # A display must never harm the job it shows: Spark forgets old stages, and its connection may be
        # closing. The next look may fare better, and the job reports its own errors.
        with suppress(Exception):
            jobs = stages_of(tracker, group)
            if not ended.is_set():
                show(jobs)

    try:
        with periodically(look, EVERY, name="progress", patience=PATIENCE):
            yield
    finally:
        with suppress(Exception):  # Spark may have died in the block, and that is what should be raised
            for key, value in before.items():
                context.setLocalProperty(key, value)  # type: ignore[arg-type] # None takes it away
