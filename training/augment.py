"""Turning and mirroring chips: ice has no up. Each of the eight ways a square can lie is equally likely."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.chips import Chip


def augmented(chip: Chip, *, seed: int, epoch: int, index: int) -> Chip:
    """Return the chip as it lies in this epoch; depends on the arguments only, not on rank or order."""
    pose = int(np.random.default_rng([seed, epoch, index]).integers(8))
    return Chip(image=_posed(chip.image, pose), label=_posed(chip.label, pose))


def _posed(picture: NDArray[Any], pose: int) -> NDArray[Any]:
    turned = np.rot90(picture, pose % 4)
    return turned if pose < 4 else turned[::-1]
