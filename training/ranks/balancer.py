"""One rank's share of each global batch: measures how fast the rank is, tells the others, adapts the share.

A rank's time is its own: from asking for a batch until its gradients are there, so neither the wait for
slower ranks nor rank 0's writing of checkpoints counts. All ranks work the shares out from the same times.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from statistics import median
from typing import Final, TypeVar

from labeling.errors import ConfigError
from training.ranks import collectives
from training.ranks.collectives import World
from training.ranks.shares import Balance, Shares, share_out
from training.settings.config import TrainConfig

T = TypeVar("T")

FIRST: Final = 8
"""Updates before the shares are first reviewed; then twice as many each time, up to `balance_steps`."""

FEWEST: Final = 4
"""Updates that a measurement needs: the first of a window is slow, and the median must not see it."""


class Balancer:
    """Knows the shares of all ranks and when to review them."""

    def __init__(self, config: TrainConfig, world: World) -> None:
        """Start from what the configuration says; ConfigError when it has shares for other ranks."""
        self._rank, self._most = world.rank, config.balance_steps
        self._auto = config.balance == "auto" and world.size > 1
        self._speeds = _speeds(config, world.size)
        self._balance = Balance(share_out(config.rank_batch * world.size, self._speeds))
        self._window = min(FIRST, self._most)
        self._asked = 0.0
        self._times: list[float] = []

    @property
    def shares(self) -> Shares:
        """Chips of the next update for each rank."""
        return self._balance.shares

    @property
    def share(self) -> int:
        """Chips of the next update for this rank."""
        return self.shares[self._rank]

    @property
    def window(self) -> int | None:
        """Updates until the shares are to be reviewed; None where they stay as they are."""
        return self._window if self._auto else None

    def shares_of(self, chips: int) -> Shares:
        """Return the shares of so many chips at the ranks' speeds."""
        seconds = self._balance.seconds
        return share_out(chips, [1 / each for each in seconds] if seconds else self._speeds)

    def timed(self, batches: Iterable[T]) -> Iterator[T]:
        """Pass batches on and note when each was asked for."""
        feed = iter(batches)
        while True:
            self._asked = time.time()
            try:
                batch = next(feed)
            except StopIteration:
                return
            yield batch

    def took(self, ready: float) -> None:
        """Note at which time, s since 1970, this rank had the gradients of the batch it asked for last."""
        if self._auto:
            self._times.append(ready - self._asked)

    def review(self) -> None:
        """Adapt the shares to the updates since the last review; with `auto` a collective."""
        if not self._auto or len(self._times) < FEWEST:  # equally many on every rank
            return
        # A clock that was set back must not give a rank a speed below 0.
        own = max(median(self._times) / self.share, 1e-9)
        before = self.shares
        self._balance = self._balance.after(collectives.gathered(own, "balance"))
        self._times = []
        self._window = min(2 * self._window, self._most)
        if self._rank == 0 and self.shares != before:
            told = f"train: the ranks' shares of an update are now {' '.join(map(str, self.shares))} chips"
            print(told, file=sys.stderr, flush=True)


def _speeds(config: TrainConfig, size: int) -> tuple[float, ...]:
    if isinstance(config.balance, str):
        return (1.0,) * size
    if len(config.balance) != size:
        raise ConfigError(
            f"balance has {len(config.balance)} shares for {size} ranks: give one for each rank, or auto"
        )
    return config.balance
