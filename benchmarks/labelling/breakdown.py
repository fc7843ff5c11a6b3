"""Where labelling's time goes: its stages, one after the other in this process, without an engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple
from unittest.mock import patch

from benchmarks.labelling import engines
from benchmarks.labelling.way import Job
from benchmarks.labelling.workloads import Workload
from labeling.scenes.picture import PictureScene
from labeling.stages import steps, whole

MOST_SCENES: Final = 8


class Cost(NamedTuple):
    """Seconds of one stage over a scene."""

    cpu: float
    """On a processor, in all threads."""
    serial: float
    """Of that, in the thread that called; the rest is the compressing threads'."""


def stage_costs(workload: Workload, profile: str) -> dict[str, Cost]:
    """Return what each stage costs for a scene of the workload, on average; a first run warms up.

    "read" is part of "decode". Time on the processor, because a busy machine does not change it much.
    """
    scenes = workload.scenes[:MOST_SCENES]
    for _ in range(2):
        with TemporaryDirectory(dir=workload.folder) as out, _timed() as costs:
            job = Job(scenes, profile, workload.expected(profile), Path(out), cut=False)
            engines.label(map, job, cores=2)
    return {name: Cost(*(seconds / len(scenes) for seconds in cost)) for name, cost in costs.items()}


_STAGES: Final = {"decode": "decode", "exclude": "exclude", "compare": "compare_block", "write": "write"}


@contextmanager
def _timed() -> Iterator[dict[str, Cost]]:
    """Yield a table that fills while the stages run."""
    costs = {"read": Cost(0, 0)} | {name: Cost(0, 0) for name in _STAGES}

    def timing(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **options: Any) -> Any:
            cpu, serial = time.process_time(), time.thread_time()
            try:
                return work(*arguments, **options)
            finally:
                spent = Cost(time.process_time() - cpu, time.thread_time() - serial)
                costs[name] = Cost(*(a + b for a, b in zip(costs[name], spent, strict=True)))

        return timed

    with ExitStack() as patches:
        for name, function in _STAGES.items():
            patches.enter_context(patch.object(whole, function, timing(name, getattr(steps, function))))
            patches.enter_context(patch.object(steps, function, getattr(whole, function)))
        patches.enter_context(patch.object(PictureScene, "read", timing("read", PictureScene.read)))
        yield costs
