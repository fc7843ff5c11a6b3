"""How a global batch is shared out over ranks of different speed. Pure numbers.

The gradients of all ranks are summed and divided by what was summed over, so shares decide how long an
update takes and nothing else. It takes as long as its slowest rank does: good shares make that time short.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heapreplace
from typing import Final, Self

Shares = tuple[int, ...]
"""Chips of a global batch for each rank, in the order of the ranks."""

WORTH: Final = 0.03
"""Share of an update's time that new shares must save; less is within the spread of measurements."""


def share_out(chips: int, speeds: Sequence[float], *, least: int = 0) -> Shares:
    """Return the shares of `chips` that are done soonest by ranks of these speeds, in chips a second.

    Every rank gets at least `least`, one of speed 0 no more than that. Of equals the lower rank comes first.
    ValueError when no rank has a speed, or one is negative or no number, or `chips` are too few.
    """
    if not all(0 <= speed < math.inf for speed in speeds) or not any(speeds):
        raise ValueError(f"speeds {tuple(speeds)} share out nothing")
    if chips < least * len(speeds):
        raise ValueError(f"{chips} chips are too few for {len(speeds)} ranks of at least {least}")
    shares = [least] * len(speeds)
    # Each chip goes where it is done first: as all chips are alike, this is the best there is.
    queue = [((least + 1) / speed, rank) for rank, speed in enumerate(speeds) if speed > 0]
    heapify(queue)
    for _ in range(chips - sum(shares)):
        rank = queue[0][1]
        shares[rank] += 1
        heapreplace(queue, ((shares[rank] + 1) / speeds[rank], rank))
    return tuple(shares)


def longest(shares: Shares, seconds: Sequence[float]) -> float:
    """Return the time of the slowest rank, s, for ranks that take so many `seconds` a chip."""
    return max(share * each for share, each in zip(shares, seconds, strict=True))


@dataclass(frozen=True)
class Balance:
    """Shares that follow the ranks' measured speeds, from one measurement to the next."""

    shares: Shares
    seconds: tuple[float, ...] = ()
    """Smoothed seconds a chip of each rank; empty before the first measurement."""

    def after(self, measured: Sequence[float]) -> Self:
        """Return the balance after ranks took so many seconds a chip.

        The first measurement counts whole, each later one half (in the geometric mean), so that one odd
        measurement does not throw the shares about. They change only where that is worth it, and no rank's
        becomes 0: its speed could not be measured any more.
        """
        found = tuple(measured)
        if self.seconds:
            found = tuple(math.sqrt(old * new) for old, new in zip(self.seconds, found, strict=True))
        best = share_out(sum(self.shares), [1 / each for each in found], least=1)
        better = longest(best, found) < (1 - WORTH) * longest(self.shares, found)
        return type(self)(best if better else self.shares, found)
