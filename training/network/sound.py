"""Whether a network read from a file is what its card describes, and its output can be probabilities."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import keras

TOLERANCE: Final = 1e-3
"""By how much the probabilities of a pixel may add up to something else than 1."""


def network_fault(network: keras.Model, *, channels: int, classes: int) -> str | None:
    """Return what makes a network none for pictures of `channels` and maps of `classes`; None: nothing."""
    taken, given = getattr(network, "input_shape", None), getattr(network, "output_shape", None)
    if not _fits(taken, channels):
        return f"takes arrays of the shape {taken}, not pictures of {channels} channel(s) of any size"
    if not _fits(given, classes, sides=None):
        return f"gives arrays of the shape {given}, not one probability for each of {classes} classes"
    for weights in network.get_weights():
        if not np.isfinite(weights).all():
            return "has weights that are no numbers"
    return None


def output_fault(probabilities: NDArray[np.float32], shape: tuple[int, ...]) -> str | None:
    """Return what makes an output no probabilities of `shape` (pictures, rows, columns, classes)."""
    if probabilities.shape != shape:
        return f"gives arrays of the shape {probabilities.shape}, not {shape}"
    if not np.isfinite(probabilities).all():
        return "gives probabilities that are no numbers"
    # Class by class: numpy sums an axis so short pixel by pixel, which takes many times as long.
    sums = reduce(np.add, np.moveaxis(probabilities, -1, 0))
    if probabilities.min(initial=0) < -TOLERANCE or np.abs(sums - 1).max(initial=0) > TOLERANCE:
        return "gives values that are no probabilities: those of a pixel do not add up to 1"
    return None


def _fits(shape: Any, last: int, sides: tuple[None, None] | None = (None, None)) -> bool:
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[3] != last:
        return False
    return sides is None or shape[1:3] == sides
