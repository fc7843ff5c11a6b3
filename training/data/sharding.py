"""Which chips each rank sees in each step. Pure functions of seed and epoch, so every rank works them out
for itself and a resumed run goes on exactly where the first would have."""

from __future__ import annotations

from collections.abc import Sequence
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
    return share_batches(order, (batch_size,) * size, rank)


def share_batches(order: Indices, shares: Sequence[int], rank: int) -> Indices:
    """Return the chips of one rank, int64 (steps, shares[rank]), where ranks take unequal shares of a batch.

    The global batches are those of `rank_batches` for the same number of chips, sum(shares), so the shares
    decide who works on a chip and not when it is learned from. A share may be 0.
    """
    batch = sum(shares)
    steps = -(-len(order) // batch)
    padded = np.full(steps * batch, EMPTY, np.int64)
    padded[: len(order)] = order
    first = sum(shares[:rank])
    return np.ascontiguousarray(padded.reshape(steps, batch)[:, first : first + shares[rank]])
