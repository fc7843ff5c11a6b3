"""The thresholds, moved in every part of a scene to where a network says that the veil has moved them.

The network tells best what lies where it is sure, brightness tells best where one class ends. Each cell of a
grid takes the two cut points of brightness that contradict the network least in the cell and around it, a
pixel counting as much as the network is sure of it; where it is sure of nothing they stay where they are
under a clear sky. Between the middles of cells they run evenly.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

CELL: Final = 16
"""Pixels, side of a cell; a cell's neighbours count by a Gaussian of one cell."""

_SURENESS: Final = 12
"""Power of a pixel's highest probability that is its weight: 0.9 counts a quarter, 0.6 next to nothing."""

_BINS: Final = 129
"""Two levels of brightness each, so that both cut points of a clear sky lie between two."""

_BLUR: Final = 2.0
"""Bins, standard deviation: a cut point in the middle of a gap is better than one at its end."""

_REACH: Final = 20.0
"""Levels by which a cut point moves at the price of its `_HOLD`; twice as far costs four times as much."""

_HOLD: Final = (0.008, 0.0001)
"""Share of a cell's pixels that must contradict a cut point for it to move: water from ice, thin from thick.

Networks take smooth grey ice for water but seldom anything for thick ice, so the second is nearly free.
"""

Field = NDArray[np.float32]


def classes_by_moved_cuts(
    rgb: NDArray[np.uint8], probabilities: Field, clear: tuple[float, float]
) -> NDArray[np.uint8]:
    """Return class codes (height, width) of a picture, u8 (3, height, width), by its brightness max(R, G, B).

    `probabilities`, f32 0..1 (height, width, 3), are the network's; `clear` are the cut points under a clear
    sky, the highest levels of water and of thin ice.
    """
    value = rgb.max(axis=0)
    levels = 2.0 * np.arange(_BINS) + 0.5
    classes = np.zeros(value.shape, np.uint8)
    for upper, (hold, highest) in enumerate(zip(_HOLD, clear, strict=True), start=1):
        contradicted = _contradicted(value, probabilities, upper)
        moving = hold * ((levels - highest - 0.5) / _REACH) ** 2
        classes += value > _spread(levels[np.argmin(contradicted + moving, axis=-1)], value.shape)
    return classes


def _contradicted(value: NDArray[np.uint8], probabilities: Field, upper: int) -> Field:
    """Return the weight that a cut above each bin contradicts around each cell, f32 (rows, columns, bins).

    Contradicted are pixels of classes from `upper` up that lie below the cut, and of the others above it.
    """
    brighter = probabilities.argmax(axis=-1) >= upper
    weight = probabilities.max(axis=-1) ** _SURENESS / CELL**2
    found = [_histograms(value, np.where(part, weight, 0.0)) for part in (brighter, ~brighter)]
    brighter_below, darker_below = (part.cumsum(axis=-1) for part in found)
    return np.asarray(brighter_below + darker_below[..., -1:] - darker_below, np.float32)


def _histograms(value: NDArray[np.uint8], weight: Field) -> Field:
    """Return the weight in and around each cell by brightness, blurred, f32 (rows, columns, bins)."""
    rows, columns = (-(-side // CELL) for side in value.shape)
    row, column = (np.arange(side) // CELL for side in value.shape)
    key = (row[:, None] * columns + column) * _BINS + (value.astype(np.intp) + 1) // 2
    sums = np.bincount(key.ravel(), weight.ravel(), rows * columns * _BINS)
    found = sums.reshape(rows, columns, _BINS).astype(np.float32)
    for axis, sigma in enumerate((1.0, 1.0, _BLUR)):
        found = np.moveaxis(np.tensordot(found, _gaussian(found.shape[axis], sigma), (axis, 0)), -1, axis)
    return found


def _gaussian(count: int, sigma: float) -> Field:
    """Return the matrix that blurs `count` values, f32 (count, count); nothing lies outside of them."""
    place = np.arange(count, dtype=np.float32)
    weights = np.exp(-0.5 * ((place[:, None] - place) / sigma) ** 2) / (sigma * np.sqrt(2.0 * np.pi))
    return np.asarray(weights, np.float32)


def _spread(cuts: NDArray[np.float64], shape: tuple[int, ...]) -> Field:
    """Return the cuts of cells (rows, columns) as those of pixels, f32 `shape`, linear between cells."""
    rows, columns = (side * CELL for side in cuts.shape)
    pixels = cv2.resize(cuts.astype(np.float32), (columns, rows), interpolation=cv2.INTER_LINEAR)
    return np.asarray(pixels[: shape[0], : shape[1]], np.float32)
