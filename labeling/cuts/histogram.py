"""Histograms of brightness V: which pixels of a scene they count, their density, and its peaks."""

from __future__ import annotations

from itertools import pairwise
from math import ceil, sqrt
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labeling.grid import Block

LEVELS: Final = 256

SAMPLED: Final = 4_000_000
"""Pixels of a scene that are counted at most: a tile's histogram is known from far fewer."""

_EMPTY: Final = 1e-7
"""Density of a level that does not occur, for ratios."""

Counts = NDArray[np.int64]
"""(256,): pixels of each brightness V."""

Density = NDArray[np.float64]
"""(256,): share of the pixels at each brightness V."""


class Peak(NamedTuple):
    """A local maximum of a density that stands out from what lies between it and higher ones."""

    level: int
    low: int
    """First level of its basin, which ends at the lowest level towards the next peak."""
    high: int
    """The level after its basin."""
    width: int
    """Levels around it where the density is at least half as high."""
    core: float
    """Share of the pixels within twice that width, 0..1."""
    valley: float
    """Density at the end of its basin towards brighter levels, as a share of its own; 0 for the last peak."""


def sample_step(*, height: int, width: int) -> int:
    """Return every how many pixels, along rows and columns, a scene's brightness is counted."""
    return max(1, ceil(sqrt(height * width / SAMPLED)))


def on_grid(layer: NDArray[np.uint8], block: Block, step: int) -> NDArray[np.uint8]:
    """Return the pixels of a block that lie on the scene's grid of every `step`-th row and column.

    Rows and columns are the last axes of `layer`. The grid is the scene's own, so any cut gives the same.
    """
    return np.ascontiguousarray(layer[..., -block.row % step :: step, -block.column % step :: step])


def density_of(counts: NDArray[np.int64] | NDArray[np.float64]) -> Density:
    """Return counts (256,) as shares, which add up to 1; zeros where nothing was counted."""
    return np.asarray(counts / max(1, counts.sum()), np.float64)


def smooth(density: Density, sigma: float) -> Density:
    """Return a density after a Gaussian of `sigma` levels; its ends are mirrored, so it keeps its sum."""
    reach = ceil(4 * sigma)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    padded = np.pad(density, reach, mode="symmetric")
    return np.convolve(padded, kernel / kernel.sum(), "valid")


def without_spikes(density: Density) -> Density:
    """Return a density whose darkest and brightest levels are no higher than their three neighbours.

    What a stretch cut off is heaped up there, and is no peak of any surface.
    """
    found = density.copy()
    present = np.flatnonzero(found)
    if present.size < LEVELS // 32:
        return found
    low, high = present[0], present[-1]
    found[low] = min(found[low], found[low + 1 : low + 4].max())
    found[high] = min(found[high], found[high - 3 : high].max())
    return density_of(found)


def peak_levels(density: Density, ratio: float) -> list[int]:
    """Return the local maxima, darkest first, `ratio` times as high as what parts them from higher ones."""
    log = np.log(density + _EMPTY)
    rises = np.concatenate([[True], density[1:] >= density[:-1]])
    falls = np.concatenate([density[:-1] > density[1:], [True]])
    tops = np.flatnonzero(rises & falls)
    return [int(top) for top in tops if log[top] - max(_saddles(log, top)) > np.log(ratio)]


def _saddles(log: Density, top: int) -> tuple[float, float]:
    """Return the lowest density on the way from a maximum to a higher level, on either side."""
    sides = log[:top][::-1], log[top + 1 :]
    found = []
    for side in sides:
        higher = np.flatnonzero(side > log[top])
        found.append(float(side[: higher[0]].min(initial=log[top])) if higher.size else float(np.log(_EMPTY)))
    return found[0], found[1]


def peaks(density: Density, ratio: float) -> list[Peak]:
    """Return the peaks of a smooth density, darkest first; `ratio` as of `peak_levels`."""
    tops = peak_levels(density, ratio)
    ends = [int(a + density[a:b].argmin()) for a, b in pairwise(tops)]
    basins = zip(tops, [0, *ends], [*ends, LEVELS], strict=True)
    return [_peak(density, top, low, high) for top, low, high in basins]


def _peak(density: Density, top: int, low: int, high: int) -> Peak:
    lower = np.flatnonzero(density < density[top] / 2)
    left = int(lower[lower < top].max(initial=-1)) + 1
    right = int(lower[lower > top].min(initial=LEVELS)) - 1
    core = density[max(0, 2 * left - top) : 2 * right - top + 1].sum()
    valley = density[high] / density[top] if high < LEVELS else 0.0
    return Peak(top, low, high, right - left + 1, float(core), float(valley))
