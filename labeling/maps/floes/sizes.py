"""How floes are spread over sizes: counts by bin, and the exponent of a power law by maximum likelihood."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

FORMS: Final = (20.0, 100.0, 500.0, 2000.0, 10_000.0)
"""Metres of diameter where bins begin: the forms of floe of ice charts (SIGRID-3, 03 to 07)."""

LEAST_FLOES: Final = 50
"""Fewer sizes say nothing of a power law: its standard error would be a seventh of alpha - 1 and more."""

_STARTS: Final = 200
"""Sizes that are tried as the one where a power law begins, at most."""


class Bin(NamedTuple):
    """Floes of some sizes."""

    at_least: float
    below: float
    """Metres of diameter; infinite in the last."""
    floes: int
    area_m2: float


class PowerLaw(NamedTuple):
    """The density of sizes is proportional to size ** -alpha from a smallest one on."""

    alpha: float
    error: float
    """Standard error of alpha, (alpha - 1) / sqrt(n)."""
    at_least: float
    """The smallest size, in the unit of the sizes."""
    floes: int
    """How many are that large."""
    distance: float
    """Largest difference of the law's and the sizes' cumulative shares (Kolmogorov and Smirnov), 0..1."""


def count_bins(
    diameters: NDArray[np.float64], areas: NDArray[np.float64], edges: Sequence[float] = FORMS
) -> list[Bin]:
    """Count floes by diameter; `edges` rise, the last bin is open, and smaller floes are in none."""
    limits = [*edges, np.inf]
    counts, _ = np.histogram(diameters, limits)
    sums, _ = np.histogram(diameters, limits, weights=areas)
    return [
        Bin(float(low), float(high), int(count), float(area))
        for low, high, count, area in zip(limits[:-1], limits[1:], counts, sums, strict=True)
    ]


def fit_power_law(sizes: NDArray[np.float64], at_least: float | None = None) -> PowerLaw | None:
    """Fit a power law to sizes (n,), positive, in any unit; None for fewer than LEAST_FLOES large ones.

    alpha = 1 + n / sum(ln(x / at_least)) over the n sizes from `at_least` on. Where that is None, it is the
    size for which law and sizes differ least (Clauset, Shalizi and Newman 2009, 10.1137/070710111).
    """
    falling = np.sort(sizes)[::-1]
    if at_least is not None:
        return _fit(falling[falling >= at_least], at_least)
    rising = np.unique(falling[LEAST_FLOES - 1 :])
    starts = rising[np.unique(np.linspace(0, len(rising) - 1, min(_STARTS, len(rising))).astype(int))]
    fits = [fit for start in starts if (fit := _fit(falling[falling >= start], float(start))) is not None]
    return min(fits, key=lambda fit: fit.distance, default=None)


def _fit(falling: NDArray[np.float64], at_least: float) -> PowerLaw | None:
    count = len(falling)
    logs = np.log(falling / at_least)
    if count < LEAST_FLOES or logs.sum() <= 0:
        return None
    alpha = 1 + count / float(logs.sum())
    above = np.exp((1 - alpha) * logs)  # share of the law that is larger
    ranks = np.arange(count)
    distance = max(np.abs(above - ranks / count).max(), np.abs(above - (ranks + 1) / count).max())
    return PowerLaw(alpha, (alpha - 1) / float(np.sqrt(count)), float(at_least), count, float(distance))
