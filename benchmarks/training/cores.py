"""Tells how long the threads of a training's ranks ran, and how long they were ready and had no core.

Linux counts both for each thread, in ns (/proc/PID/task/TID/schedstat: the first two figures).
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple, Self

import psutil

INTERVAL: Final = 0.25
"""Seconds between two looks."""

COUNTED: Final = (0.5, 0.9)
"""Part of the time watched that counts: neither start and first epoch nor the end."""

_RANK: Final = 0.5
"""A process with a thread that runs, or is ready to, this share of the time and more is a rank."""


class Look(NamedTuple):
    """What the kernel had counted for a thread at some time, seconds."""

    at: float
    ran: float
    waited: float


class Rank(NamedTuple):
    """Shares of the time, 0..1."""

    running: float
    """Its busiest thread ran."""
    waiting: float
    """That thread was ready to run and had no core."""
    others: float
    """Its other threads ran, together."""


class Cores:
    """Watches the processes that this one has started, and theirs, while its block runs."""

    def __init__(self) -> None:
        """Look at nothing yet."""
        self._looks: dict[int, dict[str, list[Look]]] = defaultdict(lambda: defaultdict(list))
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watcher.join()

    def ranks(self) -> list[Rank]:
        """Return how each rank got on, in the order of their process ids."""
        found = (rank_of(threads) for _, threads in sorted(self._looks.items()))
        return [rank for rank in found if rank and rank.running + rank.waiting >= _RANK]

    def _watch(self) -> None:
        while not self._over.wait(INTERVAL):
            for process in psutil.Process().children(recursive=True):
                with suppress(OSError):  # it has ended
                    for thread in Path(f"/proc/{process.pid}/task").iterdir():
                        ran, waited, _ = (thread / "schedstat").read_text().split()
                        look = Look(time.monotonic(), int(ran) / 1e9, int(waited) / 1e9)
                        self._looks[process.pid][thread.name].append(look)


def rank_of(threads: dict[str, list[Look]]) -> Rank | None:
    """Return how a process of these threads got on; None where it was looked at too few times."""
    every = [look.at for looks in threads.values() for look in looks]
    begin, end = (min(every) + part * (max(every) - min(every)) for part in COUNTED)
    ran, waited = {}, {}
    for name, looks in threads.items():
        counted = [look for look in looks if begin <= look.at <= end]
        if len(counted) > 1:
            passed = counted[-1].at - counted[0].at
            ran[name] = (counted[-1].ran - counted[0].ran) / passed
            waited[name] = (counted[-1].waited - counted[0].waited) / passed
    if not ran:
        return None
    busiest = max(ran, key=lambda name: ran[name])
    return Rank(ran[busiest], waited[busiest], sum(ran.values()) - ran[busiest])
