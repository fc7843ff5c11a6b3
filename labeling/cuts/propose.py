"""Cut points proposed by a histogram of brightness alone, by three methods.

otsu      Otsu's criterion with three classes: the pair of cuts with the largest variance between classes
valleys   the lowest points between the most prominent peaks of the smoothed density
stepwise  first water, then thick ice, each by what is particular to it (the one that is chosen)

Otsu's classes are alike in size, and water may be a hundredth of a scene. Valleys mistake a peak of thin ice
for a class, and between thin and thick ice there often is no valley. So `stepwise` takes the first true
valley above the darkest peak for the end of water, whatever lies beyond; and above it the lowest density
near the level where two means are equally far (Otsu's threshold of what is no water), for the older thin ice
is, the fewer pixels it has, until snow begins. All of this is by shape, so that a stretch moves it along.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labeling.cuts.histogram import LEVELS, Counts, Density, density_of, peak_levels, smooth, without_spikes

_SIGMA: Final = 2.0
"""Levels of smoothing: water's peak is about three levels wide before any stretch."""

_STANDS_OUT: Final = 1.3
"""Height of a peak over what parts it from others, at least."""

_NEAR: Final = 0.6
"""How far from the darkest peak to Otsu's lower cut the end of water is looked for."""

_TRUE_VALLEY: Final = 3.0
"""Density of a valley at most, as a multiple of the lowest there: parts of water have peaks of their own."""

_PULL: Final = 20.0
"""How strongly the upper cut is held to the middle between means: a way of a fifth of the range is worth a
factor of two in density."""

_ABSENT: Final = 0.001
"""Share of the pixels below the darkest peak's place where there is no dark peak."""


class Cuts(NamedTuple):
    """A pair of cut points on V, 0..254: water up to `water_max`, then thin ice up to `thin_ice_max`."""

    water_max: int
    thin_ice_max: int


Method = Callable[[Counts], Cuts]


class Spread(NamedTuple):
    """Where a cut point lies when scenes are drawn anew, in nine of ten draws."""

    low: int
    high: int


class Candidate(NamedTuple):
    """A proposal, and how much it depends on which scenes were looked at."""

    cuts: Cuts
    water_spread: Spread
    thin_spread: Spread


def otsu(counts: Counts) -> Cuts:
    """Return the pair of cuts with the largest variance between three classes (Otsu 1979)."""
    density = density_of(counts)
    weight, mass = np.cumsum(density), np.cumsum(density * np.arange(LEVELS))

    def part(share: NDArray[np.float64], total: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.divide(total**2, share, out=np.zeros_like(share), where=share > 1e-12)

    low = part(weight, mass)[:, None]
    middle = part(weight[None, :] - weight[:, None], mass[None, :] - mass[:, None])
    high = part(weight[-1] - weight, mass[-1] - mass)[None, :]
    return _best_pair(-(low + middle + high))


def valleys(counts: Counts) -> Cuts:
    """Return the lowest points between the three most prominent peaks of the smoothed density.

    With two peaks only, both cuts lie between them; with one, as `otsu` has it.
    """
    curve = smooth(density_of(counts), _SIGMA)
    ratio = _STANDS_OUT
    while len(tops := peak_levels(curve, ratio)) > 3:
        ratio *= 1.1
    lows = [int(a + curve[a:b].argmin()) for a, b in pairwise(tops)]
    if not lows:
        return otsu(counts)
    low = max(0, min(lows[0], LEVELS - 3))
    return Cuts(low, max(lows[-1], low + 1))


def stepwise(counts: Counts) -> Cuts:
    """Return the end of water and the beginning of thick ice, found one after the other."""
    curve = np.maximum(smooth(without_spikes(density_of(counts)), _SIGMA), 1e-9)
    water = min(_water_end(counts, curve), LEVELS - 3)
    return Cuts(water, min(max(_thick_begin(counts, curve, water), water + 1), LEVELS - 2))


METHODS: Final[Mapping[str, Method]] = MappingProxyType(
    {"stepwise": stepwise, "otsu": otsu, "valleys": valleys}
)
"""The methods by name, the one that is chosen first."""


def dark_peak(counts: Counts) -> int | None:
    """Return the level of the darkest peak, if there is one darker than the middle class of `otsu`."""
    curve = np.maximum(smooth(without_spikes(density_of(counts)), _SIGMA), 1e-9)
    return _dark_peak(counts, curve)


def _dark_peak(counts: Counts, curve: Density) -> int | None:
    below = otsu(counts).water_max
    return next((top for top in peak_levels(curve, _STANDS_OUT) if top <= below), None)


def _water_end(counts: Counts, curve: Density) -> int:
    dark = _dark_peak(counts, curve)
    if dark is None:
        return max(1, int(np.searchsorted(np.cumsum(density_of(counts)), _ABSENT)) - 1)
    end = max(int(dark + (otsu(counts).water_max - dark) * _NEAR), dark + 1)
    way = curve[dark : end + 1]
    rises = np.flatnonzero((np.diff(way) > 0) & (way[:-1] <= _TRUE_VALLEY * way.min()))
    return dark + int(rises[0] if rises.size else way.argmin())


def _thick_begin(counts: Counts, curve: Density, water: int) -> int:
    middle = max(_two_means(counts, water), water + 2)
    brightest = [top for top in peak_levels(curve, _STANDS_OUT) if top > middle]
    top = brightest[-1] if brightest else int(np.searchsorted(np.cumsum(density_of(counts)), 0.99))
    levels = np.arange(water + 1, min(max(top, middle + 1), LEVELS - 1) + 1)
    away = (levels - middle) / (levels[-1] - water)
    return int(levels[np.argmin(np.log(curve[levels]) + _PULL * away**2)])


def _two_means(counts: Counts, above: int) -> int:
    """Return Otsu's threshold of the pixels brighter than a level."""
    kept = np.where(np.arange(LEVELS) > above, counts, 0)
    density = density_of(kept)
    weight, mass = np.cumsum(density), np.cumsum(density * np.arange(LEVELS))
    between = (mass[-1] * weight - mass) ** 2 / np.maximum(weight * (1 - weight), 1e-9)
    return int(between.argmax())


def _best_pair(cost: NDArray[np.float64]) -> Cuts:
    """Return the pair of least cost; `cost` is (256, 256), by lower and upper cut."""
    allowed = np.triu(np.ones(cost.shape, np.bool_), 1)
    allowed[:, -1] = False  # above the upper cut there must be a level left
    lower, upper = np.unravel_index(np.where(allowed, cost, np.inf).argmin(), cost.shape)
    return Cuts(int(lower), int(upper))


def candidate(scenes: NDArray[np.int64], method: Method, *, draws: int = 200, seed: int = 2024) -> Candidate:
    """Propose cuts from all scenes together, and see how they vary when scenes are drawn with replacement.

    `scenes` is int64 (n, 256), a histogram each. A single scene says nothing of its spread: it is zero.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(scenes), np.full(len(scenes), 1 / len(scenes)), draws)
    found = {tuple(times): method(times @ scenes) for times in np.unique(drawn, axis=0)}
    pairs = np.array([found[tuple(times)] for times in drawn])
    return Candidate(method(scenes.sum(axis=0)), *spreads(pairs))


def spreads(pairs: NDArray[np.int_]) -> tuple[Spread, Spread]:
    """Return the range of nine of ten draws for each cut; `pairs` is (draws, 2)."""
    low, high = np.rint(np.quantile(pairs, (0.05, 0.95), axis=0)).astype(int).tolist()
    return Spread(low[0], high[0]), Spread(low[1], high[1])
