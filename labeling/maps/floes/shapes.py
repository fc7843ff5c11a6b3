"""Sizes and shapes of labelled pieces, in pixels and then on the ground: area, perimeter, axes, bearing."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labeling.maps.ground import Ground

_ROWS: Final = 256
"""Rows that are summed at a time: sums are whole numbers, so it changes nothing."""

_WAYS: Final = ((0, 1), (1, 1), (1, 0), (1, -1))
"""Rows and columns of a step along lines of a grid that are 45 degrees apart."""

Numbers = NDArray[np.float64]


class Shapes(NamedTuple):
    """Pieces 1, 2 … of a label picture, in pixels; each array has a piece a row."""

    pixels: NDArray[np.int64]
    rows: Numbers
    columns: Numbers
    """Where the middle lies, from the picture's corner: 0.5 is the middle of the first pixel."""
    spread: Numbers
    """(n, 2, 2): second moments about the middle, in the order column, row, of pixels that are squares."""
    crossings: NDArray[np.int64]
    """(n, 4): how often lines right, down right, down and down left through pixels cross its outline."""


class Sizes(NamedTuple):
    """The same pieces on the ground; each array has a piece a row."""

    area: Numbers
    """Square metres."""
    diameter: Numbers
    """Metres, of the circle of equal area: CF's sea_ice_floe_diameter."""
    perimeter: Numbers
    """Metres, after Cauchy and Crofton by lines 45 degrees apart: right for discs, within 5 % for others."""
    major: Numbers
    minor: Numbers
    """Metres, axes of the ellipse with the same second moments."""
    bearing: Numbers
    """Degrees clockwise from north of the major axis, 0..180."""


def measure(labels: NDArray[np.int32], count: int) -> Shapes:
    """Measure pieces 1 to `count` of labels, (height, width), 0 between them; outside of it is no piece."""
    sums = np.zeros((6, count + 1))
    crossings = np.zeros((4, count + 1), np.int64)
    height, width = labels.shape
    padded_width = width + 2
    for top in range(-1, height, _ROWS):
        # One row and column more on each side, so that every line enters and leaves each piece.
        part = np.zeros((_ROWS + 1, padded_width), np.int32)
        inside = labels[max(top, 0) : top + _ROWS + 1]
        part[max(-top, 0) : max(-top, 0) + len(inside), 1:-1] = inside
        sums += _sums(part[:-1], top, count)
        for way, (down, right) in enumerate(_WAYS):
            crossings[way] += _crossings(part, down, right, count)
    return _shapes(sums[:, 1:], crossings[:, 1:])


def _sums(part: NDArray[np.int32], top: int, count: int) -> Numbers:
    """Return pixels and sums of row, column, row², column², row x column by piece, (6, count + 1)."""
    row, column = np.nonzero(part)
    piece = part[row, column]
    row, column = (row + top).astype(np.float64), (column - 1).astype(np.float64)
    weights = (None, row, column, row * row, column * column, row * column)
    return np.stack([np.bincount(piece, weight, count + 1) for weight in weights])


def _crossings(part: NDArray[np.int32], down: int, right: int, count: int) -> NDArray[np.int64]:
    """Return how often steps from all rows but the last (and along each) enter or leave each piece."""
    here = part[:-1, max(-right, 0) : part.shape[1] - max(right, 0)]
    there = part[down : len(part) - 1 + down, max(right, 0) : part.shape[1] + min(right, 0)]
    other = here != there
    return np.bincount(here[other], minlength=count + 1) + np.bincount(there[other], minlength=count + 1)


def _shapes(sums: Numbers, crossings: NDArray[np.int64]) -> Shapes:
    pixels, row, column, row_row, column_column, row_column = sums
    row, column = row / pixels, column / pixels
    across = column_column / pixels - column**2 + 1 / 12
    along = row_row / pixels - row**2 + 1 / 12
    both = row_column / pixels - row * column
    spread = np.stack([np.stack([across, both], -1), np.stack([both, along], -1)], -2)
    return Shapes(pixels.astype(np.int64), row + 0.5, column + 0.5, spread, crossings.T)


def on_ground(shapes: Shapes, ground: Ground) -> Sizes:
    """Return sizes on the ground; `ground` is that of each piece's middle, where pixels are about square."""
    area = shapes.pixels * ground.areas
    # Lines to the right lie a pixel apart, slanting ones 1 / sqrt(2); each stands for 45 degrees.
    across = shapes.crossings @ np.array([1, np.sqrt(0.5), 1, np.sqrt(0.5)])
    perimeter = np.pi / 8 * across * ground.sides
    spread = ground.steps @ shapes.spread @ ground.steps.transpose(0, 2, 1)
    variances, ways = np.linalg.eigh(spread)
    minor, major = 4 * np.sqrt(np.maximum(variances, 0)).T
    east, north = ways[:, 0, 1], ways[:, 1, 1]
    bearing = np.degrees(np.arctan2(east, north)) % 180
    return Sizes(area, 2 * np.sqrt(area / np.pi), perimeter, major, minor, bearing)
