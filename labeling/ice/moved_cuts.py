"""The thresholds, moved in every part of a scene to where a network says cloud and shadow have moved them.

A network tells best what lies where it is sure, brightness V tells best where one class ends. Each cell of a
grid takes the two cut points on V that contradict the network least in the cell and around it, a pixel
counting as much as the network is sure of it; where it is sure of nothing they stay where they are under a
clear sky. Between the middles of cells they run evenly. What this gains is in docs/science.md.

    network -> weigh_lifts -> opinion (u8, pixel by pixel) -> scene_cuts (cells) -> cut (pixel by pixel)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labeling.classes import IceClass
from labeling.grid import Block
from labeling.ice.cell_grid import between
from labeling.ice.profile import ThresholdSettings

VERSION: Final = 2
"""Of this method: it goes up when a map may come out in another way."""

CELL: Final = 16
"""Pixels, side of a cell."""

LIFT: Final = 3.0
"""The odds of thick ice count this many times where the guarded filter lifts thin ice to thick.

Thick ice under a shadow is what networks miss most, and what the filter is for.
"""

_SURENESS: Final = 12
"""Power of a pixel's highest probability that is its weight: 0.9 counts a quarter, 0.6 next to nothing."""

_BINS: Final = 129
"""Two levels of V each, so that both cut points of a clear sky lie between two."""

_LEVELS: Final = 2 * np.arange(_BINS, dtype=np.float32) + 0.5
"""V above which a cut point after each bin is passed."""

_REACH: Final = 20.0
"""Levels by which a cut point moves at the price of its `_HOLD`; twice as far costs four times as much."""

_HOLD: Final = (0.008, 0.0001)
"""Share of a cell's pixels that must contradict a cut point for it to move: water from ice, thin from thick.

Networks take smooth grey ice for water but seldom anything for thick ice, so the second is nearly free.
"""

_BAND: Final = 16
"""Rows of cells that are looked at together: they decide the memory, not the result."""

Field = NDArray[np.float32]


class Opinion(NamedTuple):
    """What a network says of some pixels, and how bright they are; u8 (height, width) each."""

    value: NDArray[np.uint8]
    """V = max(R, G, B)."""
    classes: NDArray[np.uint8]
    """The likeliest class's code."""
    sureness: NDArray[np.uint8]
    """Its probability, in 255ths; 0 where a pixel shall not count, as no-data."""

    def part(self, block: Block) -> Opinion:
        """Return the opinion about a rectangle, of one about a whole scene."""
        return Opinion(*(plane[block.slices] for plane in self))


def likeliest(probabilities: Field) -> NDArray[np.uint8]:
    """Return the codes of the likeliest classes, u8 (height, width), the first of equally likely ones.

    The same as argmax of (height, width, 3) over the last axis, which goes pixel by pixel and takes four
    times as long.
    """
    water, thin, thick = np.moveaxis(probabilities, -1, 0)
    above_both = (thick > water) & (thick > thin)
    thick_ice = above_both.view(np.uint8) * np.uint8(IceClass.THICK_ICE)
    return np.asarray(np.maximum((thin > water).view(np.uint8), thick_ice), np.uint8)


def weigh_lifts(
    probabilities: Field, value: NDArray[np.uint8], labels: NDArray[np.uint8], thresholds: ThresholdSettings
) -> Field:
    """Return probabilities of classes, f32 0..1 (height, width, 3), thick ice raised where the filter lifts.

    That is where `labels`, class codes, say thick ice and by V alone it would be none.
    """
    lifted = (labels == IceClass.THICK_ICE) & (value <= thresholds.thin_ice_max)
    weighed = probabilities.copy()
    weighed[lifted, IceClass.THICK_ICE] *= LIFT
    return np.asarray(weighed / weighed.sum(axis=-1, keepdims=True), np.float32)


def opinion(value: NDArray[np.uint8], probabilities: Field) -> Opinion:
    """Return what probabilities of classes, f32 0..1 (height, width, 3), say of pixels of this V."""
    highest = reduce(np.maximum, np.moveaxis(probabilities, -1, 0))
    sureness = np.rint(255 * highest).astype(np.uint8)
    return Opinion(value, likeliest(probabilities), sureness)


def scene_cuts(
    read: Callable[[Block], Opinion],
    *,
    height: int,
    width: int,
    thresholds: ThresholdSettings,
    band: int = _BAND,
) -> Field:
    """Return each cell's cut points on V, f32 (2, rows, columns): above the first is ice, above both thick.

    `read` gives the opinion about any rectangle of a scene of height x width pixels; `thresholds` are the cut
    points under a clear sky. Cells at the right and lower edge may be incomplete.
    """
    clear = (thresholds.water_max, thresholds.thin_ice_max)
    rows, columns = -(-height // CELL), -(-width // CELL)
    around = len(_NEAR) // 2
    cuts = np.empty((2, rows, columns), np.float32)
    for first in range(0, rows, band):
        last = min(rows, first + band)
        start, stop = max(0, first - around), min(rows, last + around)
        part = Block(start * CELL, 0, min(height, stop * CELL) - start * CELL, width)
        # Beyond the scene lies nothing, beyond the band its neighbours' cells.
        found = _blurred(_histograms(read(part), stop - start, columns))[first - start : last - start]
        cuts[:, first:last] = [_best_cuts(found, upper, clear[upper - 1]) for upper in (1, 2)]
    return cuts


def cut(value: NDArray[np.uint8], cuts: Field, row: int = 0, column: int = 0) -> NDArray[np.uint8]:
    """Return class codes, u8 (height, width), of pixels of this V from `row`, `column` of the scene on."""
    above, below, down = between(row, value.shape[0], cuts.shape[1], CELL)
    left, right, along = between(column, value.shape[1], cuts.shape[2], CELL)
    classes = np.zeros(value.shape, np.uint8)
    for points in cuts:
        beside = points[above] * (1 - down[:, None]) + points[below] * down[:, None]
        classes += value > beside[:, left] * (1 - along) + beside[:, right] * along
    return classes


def _gaussian(sigma: float) -> Field:
    """Return the weights of neighbours up to four standard deviations away, f32; they add up to 1."""
    reach = int(4 * sigma)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return np.asarray(weights / weights.sum(), np.float32)


_NEAR: Final = _gaussian(1.0)
"""Weights of a cell's neighbours, cells."""

_BLUR: Final = _gaussian(2.0)
"""Weights of a bin's neighbours: a cut point in the middle of a gap is better than one at its end."""

_WEIGHT: Final = (np.arange(256) / 255) ** _SURENESS / CELL**2
"""Weight of a pixel by its sureness."""


def _histograms(said: Opinion, rows: int, columns: int) -> Field:
    """Return the weight of each class in each cell by brightness, f32 (rows, columns, 3, bins)."""
    row, column = (np.arange(side) // CELL for side in said.value.shape)
    cell = row[:, None] * columns + column
    key = (cell * len(IceClass) + said.classes) * _BINS + (said.value.astype(np.intp) + 1) // 2
    shape = (rows, columns, len(IceClass), _BINS)
    sums = np.bincount(key.ravel(), _WEIGHT[said.sureness].ravel(), np.prod(shape))
    return np.asarray(sums.reshape(shape), np.float32)


def _blurred(histograms: Field) -> Field:
    """Return what lies in and around each cell and bin; nothing lies outside."""
    for axis, weights in ((0, _NEAR), (1, _NEAR), (3, _BLUR)):
        along = np.moveaxis(histograms, axis, 0)
        wide = np.pad(along, [(len(weights) // 2,) * 2, (0, 0), (0, 0), (0, 0)])
        # One neighbour after the other: every cell adds up in the same order, wherever a band begins.
        total = np.zeros_like(along)
        for shift, weight in enumerate(weights):
            total += weight * wide[shift : shift + len(along)]
        histograms = np.moveaxis(total, 0, axis)
    return histograms


def _best_cuts(found: Field, upper: int, highest: float) -> Field:
    """Return the cut point of each cell below classes from `upper` up, f32 (rows, columns)."""
    brighter = found[:, :, upper:].sum(axis=2).cumsum(axis=-1)
    darker = found[:, :, :upper].sum(axis=2).cumsum(axis=-1)
    # Contradicted is what is brighter by class but below the cut, and what is darker but above it.
    contradicted = brighter + darker[..., -1:] - darker
    moving = _HOLD[upper - 1] * ((_LEVELS - highest - 0.5) / _REACH) ** 2
    return np.asarray(_LEVELS[np.argmin(contradicted + moving, axis=-1)], np.float32)
