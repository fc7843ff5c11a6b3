"""Which chips each rank sees in each step. Pure functions of seed and epoch, so every rank works them out
for itself and a resumed run goes on exactly where the first would have."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

EMPTY: Final = -1
"""Stands for a chip without any labelled pixel, where the chips do not fill the last batch."""

Indices = NDArray[np.int64]


def epoch_order(count: int, *, seed: int, epoch: int) -> Indices:
    """Return the order of `count` chips in an epoch, int64 (count,): a permutation, one for all ranks."""
    return np.random.default_rng([seed, epoch]).permutation(count).astype(np.int64)


def rank_batches(order: Indices, *, batch_size: int, rank: int, size: int) -> Indices:
    """Return the chips of one rank, int64 (steps, batch_size), EMPTY beyond the end.

    `order` is cut into global batches of `size` x `batch_size`, and each of those into one slice a rank. So
    every rank takes the same number of steps, over all ranks every chip occurs exactly once, and N ranks of
    batch B see in each step what one rank of batch N x B sees.
    """
    if batch_size < 1 or not 0 <= rank < size:
        raise ValueError(f"rank {rank} of {size} with batches of {batch_size} is not possible")
    steps = -(-len(order) // (batch_size * size))
    padded = np.full(steps * size * batch_size, EMPTY, np.int64)
    padded[: len(order)] = order
    return np.ascontiguousarray(padded.reshape(steps, size, batch_size)[:, rank])
