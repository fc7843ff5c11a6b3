"""Starts ranks on this machine and stays with them to the end.

    code = launch([sys.executable, "-m", "jobs.train", …], ranks=2)

The first rank that fails ends the others, within seconds, and its exit code is the launcher's. SIGTERM and
SIGINT go to every rank, which may end in its own time; a second one kills.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from training.launch.environment import places, rank_environment
from training.launch.processes import LOOK_S, Rank, Signals, end
from training.launch.rendezvous import Rendezvous
from training.launch.store import Store


def launch(command: Sequence[str], ranks: int) -> int:
    """Run a command as so many ranks of this machine and return the exit code; ConfigError: cannot start."""
    with Signals() as signals, Rendezvous(Store()) as rendezvous:
        started: list[Rank] = []
        try:
            for place in places({"localhost": ranks}):
                environment = rank_environment(place, rendezvous.meeting)
                started.append(Rank(command, environment, str(place.rank)))
            return _watch(started, signals)
        finally:
            end(started)


def _watch(ranks: Sequence[Rank], signals: Signals) -> int:
    """Wait until all have ended well, or the first one has not; return the exit code."""
    seen, left = 0, dict(enumerate(ranks))

    def send(number: int) -> None:
        for rank in left.values():
            rank.send(number)

    while left:
        seen = signals.passed_on(seen, send)
        for number, rank in list(left.items()):
            code = rank.code()
            if code is not None:
                del left[number]
            if code:
                if left and not signals.noted:
                    print(f"launch: rank {number} ended with {code}; ending the others", file=sys.stderr)
                return code
        time.sleep(LOOK_S)
    return 0
