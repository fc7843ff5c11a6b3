"""Reads Horovod's timeline: how long each training step waited for the other ranks and how long it reduced.

The timeline is rank 0's (HOROVOD_TIMELINE). Each tensor has a line of its own, with nested begin and end
events in microseconds: NEGOTIATE_ALLREDUCE from the first rank's readiness to the last one's, then ALLREDUCE.
The tensors of a step are named "step…" and go together.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

_WAIT: Final = "NEGOTIATE_ALLREDUCE"
_REDUCE: Final = "ALLREDUCE"

Event = Mapping[str, Any]


class Step(NamedTuple):
    """Moments of a step's reduction, s."""

    ready: float
    """The first rank had its gradients."""
    begun: float
    """All ranks had theirs, and the reduction began."""
    done: float


class Shares(NamedTuple):
    """Shares of a step's time, 0..1, medians over steps."""

    waiting: float
    """From the first rank's readiness to the last one's, and for Horovod's next cycle."""
    reducing: float


def read_steps(file: Path) -> list[Step]:
    """Return the steps in the timeline file of a job that came to its end."""
    return steps_of(json.loads(file.read_text()))


def steps_of(events: Iterable[Event]) -> list[Step]:
    """Return the steps in a timeline's events, in order."""
    ours: set[int] = set()
    open_events: dict[int, list[tuple[str, float]]] = defaultdict(list)
    spans: dict[str, dict[int, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for event in events:
        place = event["pid"]
        if event["ph"] == "M" and str(event["args"].get("name", "")).startswith("step"):
            ours.add(place)
        elif event["ph"] == "B":
            open_events[place].append((event["name"], event["ts"] / 1e6))
        elif event["ph"] == "E" and open_events[place]:
            name, begun = open_events[place].pop()
            spans[name][place].append((begun, event["ts"] / 1e6))
    waited, reduced = ([spans[name][place] for place in sorted(ours)] for name in (_WAIT, _REDUCE))
    # The n-th reduction of every tensor belongs to step n.
    return [
        Step(min(w[0] for w in waits), min(r[0] for r in sums), max(r[1] for r in sums))
        for waits, sums in zip(zip(*waited, strict=False), zip(*reduced, strict=False), strict=False)
    ]


def shares_of(steps: list[Step]) -> Shares:
    """Return how much of a step waiting and reducing take, where a step lasts from one `done` to the next."""
    both = list(pairwise(steps))
    if not both:
        raise ValueError(f"{len(steps)} steps are too few to see how long one takes")
    return Shares(
        median((now.begun - now.ready) / (now.done - before.done) for before, now in both),
        median((now.done - now.begun) / (now.done - before.done) for before, now in both),
    )
