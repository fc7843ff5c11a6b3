"""Reads Horovod's timeline: how long each training step waited, for which rank, and how long it reduced.

Gradients travel in groups, of which the first are added up while a rank works on: what counts are the last.
The timeline is rank 0's (HOROVOD_TIMELINE). Each tensor has a line of its own, with nested begin and end
events in microseconds: NEGOTIATE_ALLREDUCE from the first rank's readiness to the last one's, in it a moment
named after each rank, then ALLREDUCE. The tensors of a step are named "step…" and go together.

The ranks' moments are only in timelines that were written with NEGOTIATED: what is in Horovod's cache is not
negotiated by name.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

NEGOTIATED: Final = {"HOROVOD_CACHE_CAPACITY": "0"}
"""Environment of a job whose timeline tells when each rank was ready."""

_WAIT: Final = "NEGOTIATE_ALLREDUCE"
_REDUCE: Final = "ALLREDUCE"

Event = Mapping[str, Any]


class Step(NamedTuple):
    """Moments of a step's reduction, s."""

    ready: float
    """The first rank had all its gradients."""
    met: float
    """All ranks had all of theirs."""
    done: float
    """They were added up."""
    late: str
    """The rank that was ready last."""


class Shares(NamedTuple):
    """Shares of a step's time, 0..1, medians over steps, and what is behind them."""

    waiting: float
    """From the first rank's readiness to the last one's, and for Horovod's next cycle."""
    reducing: float
    """From then on: what no backward pass hides."""
    waits: list[float]
    """Of each step, s."""
    late: dict[str, int]
    """In how many steps a rank was the last one."""


def read_steps(file: Path) -> list[Step]:
    """Return the steps in the timeline file of a job that came to its end."""
    return steps_of(json.loads(file.read_text()))


def steps_of(events: Iterable[Event]) -> list[Step]:
    """Return the steps in a timeline's events, in order; ValueError where the ranks' moments are missing."""
    ours: set[int] = set()
    open_events: dict[int, list[tuple[str, float]]] = defaultdict(list)
    spans: dict[str, dict[int, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    moments: dict[int, list[tuple[float, str]]] = defaultdict(list)
    last: dict[int, list[tuple[float, str]]] = defaultdict(list)
    for event in events:
        place = event["pid"]
        if event["ph"] == "M" and str(event["args"].get("name", "")).startswith("step"):
            ours.add(place)
        elif event["ph"] == "B":
            open_events[place].append((event["name"], event["ts"] / 1e6))
        elif event["ph"] == "X" and open_events[place] and open_events[place][-1][0] == _WAIT:
            moments[place].append((event["ts"] / 1e6, event["name"]))
        elif event["ph"] == "E" and open_events[place]:
            name, begun = open_events[place].pop()
            spans[name][place].append((begun, event["ts"] / 1e6))
            if name == _WAIT:
                if place not in moments:
                    raise ValueError("the timeline does not tell who was late: set HOROVOD_CACHE_CAPACITY=0")
                last[place].append(max(moments.pop(place)))
    # The n-th reduction of every tensor belongs to step n.
    waited, reduced, latest = (
        zip(*(found[place] for place in sorted(ours)), strict=False)
        for found in (spans[_WAIT], spans[_REDUCE], last)
    )
    return [
        Step(max(w[0] for w in waits), max(w[1] for w in waits), max(r[1] for r in sums), max(moment)[1])
        for waits, sums, moment in zip(waited, reduced, latest, strict=False)
    ]


def shares_of(steps: list[Step]) -> Shares:
    """Return how much of a step waiting and reducing take, where a step lasts from one `done` to the next."""
    both = list(pairwise(steps))
    if not both:
        raise ValueError(f"{len(steps)} steps are too few to see how long one takes")
    return Shares(
        median((now.met - now.ready) / (now.done - before.done) for before, now in both),
        median((now.done - now.met) / (now.done - before.done) for before, now in both),
        [step.met - step.ready for step in steps],
        dict(Counter(sorted(step.late for step in steps))),
    )
