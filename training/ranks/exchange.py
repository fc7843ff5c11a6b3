"""How gradients travel between ranks: in how many groups, and as which numbers. Pure numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple, Self

from training.settings.config import TrainConfig

HEADROOM: Final = 6
"""A mean gradient may reach 2**6 before its sum is too much for float16, whose numbers end below 2**16."""


class Exchange(NamedTuple):
    """How the gradients of a step are summed over the ranks; the same on all of them."""

    groups: int = 1
    """Most groups, each of which sets out as soon as the backward pass has made its last gradient."""
    factor: float | None = None
    """What gradients are multiplied by to travel as float16; None: they travel as the float32 they are."""

    @classmethod
    def of(cls, config: TrainConfig, *, ranks: int, pixels: int) -> Self:
        """Return that of a configuration, for so many labelled pixels of a chip at most.

        The factor is a power of two, which costs no digit. It makes a sum over the pixels of a global batch
        about 2**10 times their mean. With precision float16 gradients are scaled already, and a scale that is
        too large for their sum is halved as one that is too large for a rank's own.
        """
        if config.exchange_precision is None:
            return cls(config.exchange_groups)
        if config.precision == "float16":
            return cls(config.exchange_groups, 1.0)
        # Weights by rarity sum up to the pixels; those that the user gives may be any.
        given = config.class_weights
        heaviest = 1.0 if isinstance(given, str) else max(1.0, *given)
        summed = math.ceil(math.log2(config.rank_batch * ranks * pixels * heaviest))
        return cls(config.exchange_groups, 2.0 ** (16 - HEADROOM - summed))


def last_first(sizes: Sequence[int], groups: int) -> list[list[int]]:
    """Cut tensors of these sizes into runs, from the last to the first, and return their places.

    There are at most `groups` runs, none empty, of about equal size: a tensor belongs to the run in which its
    middle lies.
    """
    total, before = sum(sizes), 0
    runs: dict[int, list[int]] = {}
    for place in reversed(range(len(sizes))):
        middle = 2 * before + sizes[place]
        runs.setdefault(groups * middle // (2 * total), []).append(place)
        before += sizes[place]
    return list(runs.values())
