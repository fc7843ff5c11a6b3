"""How far off a cell's fractions can be, from the confusion matrices of scenes whose truth is known.

Olofsson et al. 2014 (10.1016/j.rse.2014.02.015): with W_i the mapped share of class i and q_ij the share of
what is mapped as i that truly is j, the true share of j is sum_i W_i q_ij. Their standard error takes pixels
for a random sample. Pixels of a scene are wrong together, so here scenes are the sample (clusters), with the
ratio estimator of cluster sampling; where each scene is one pixel, it is theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from labeling.classes import CLASS_COUNT

LEAST_SCENES = 2
"""Scenes with truth from which a spread between scenes can be told."""


class MapErrors(NamedTuple):
    """What test scenes say of a map's errors."""

    counts: NDArray[np.int64]
    """Pixels by scene, class in the map and true class, (scenes, CLASS_COUNT, CLASS_COUNT)."""

    @classmethod
    def of(cls, matrices: Sequence[Sequence[Sequence[int]]]) -> Self | None:
        """Return the errors from a confusion matrix a scene, rows reference and columns map.

        None where fewer than LEAST_SCENES scenes have any pixel: one says nothing of another.
        """
        counts = np.array(matrices, np.int64).reshape(-1, CLASS_COUNT, CLASS_COUNT).transpose(0, 2, 1)
        counts = counts[counts.any(axis=(1, 2))]
        return cls(counts) if len(counts) >= LEAST_SCENES else None

    @property
    def rates(self) -> NDArray[np.float64]:
        """Share of what is mapped as a class (rows) that truly is each (columns); NaN for none mapped."""
        total = self.counts.sum(axis=0)
        with np.errstate(invalid="ignore"):
            return np.asarray(total / total.sum(axis=1, keepdims=True), np.float64)

    def corrected(self, shares: NDArray[np.float64], classes: Sequence[int]) -> NDArray[np.float64]:
        """Return the likely true share of some classes together, from mapped shares (…, CLASS_COUNT)."""
        return _weighted(shares, self.rates[:, list(classes)].sum(axis=1))

    def standard_error(self, shares: NDArray[np.float64], classes: Sequence[int]) -> NDArray[np.float64]:
        """Return the standard error of `corrected`, from how scenes differ."""
        mapped = self.counts.sum(axis=2)
        right = self.counts[:, :, list(classes)].sum(axis=2)
        rate = self.rates[:, list(classes)].sum(axis=1)
        scenes = len(self.counts)
        with np.errstate(invalid="ignore"):
            off = (right - rate * mapped) / mapped.sum(axis=0)
        spread = sum(_weighted(shares, each) ** 2 for each in off)
        return np.asarray(np.sqrt(spread * scenes / (scenes - 1)))

    def uncertainty(self, shares: NDArray[np.float64], classes: Sequence[int]) -> NDArray[np.float64]:
        """Return how far off the mapped share of some classes is likely to be, as a standard uncertainty.

        It is how far the map leans to one side and how well that is known, together. NaN where a class is
        mapped that no test scene has in its map.
        """
        mapped = shares[..., list(classes)].sum(axis=-1)
        bias = self.corrected(shares, classes) - mapped
        return np.asarray(np.hypot(bias, self.standard_error(shares, classes)))


def _weighted(shares: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum of values (CLASS_COUNT,) by their shares; unknown ones count where they have a share."""
    return np.asarray(np.where(shares > 0, shares * values, 0.0).sum(axis=-1))
