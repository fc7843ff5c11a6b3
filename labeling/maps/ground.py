"""How far on the ground a step on a map's grid leads: metres east and north for a pixel right and down.

Projections stretch, and Web Mercator at 76 degrees by four; so no length of ours is a nominal pixel times a
count. Steps are taken on the ellipsoid, between places in the middle of a pixel's sides.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS

from labeling.results.areas import places_of

Numbers = NDArray[np.float64]


class Ground(NamedTuple):
    """What a pixel is on the ground, at n places of a grid."""

    steps: Numbers
    """(n, 2, 2): metres [east, north] by a step of one pixel [right, down]."""

    @property
    def areas(self) -> Numbers:
        """Square metres of a pixel, (n,)."""
        return np.asarray(np.abs(np.linalg.det(self.steps)))

    @property
    def sides(self) -> Numbers:
        """Metres along a square pixel of that area, (n,)."""
        return np.sqrt(self.areas)

    @property
    def stretch(self) -> Numbers:
        """How many times longer a pixel is one way than across it, (n,): 1 for a conformal projection."""
        lengths = np.linalg.svd(self.steps, compute_uv=False)
        return np.asarray(lengths[:, 0] / lengths[:, 1])


def ground_at(crs: CRS, transform: Affine, rows: Numbers, columns: Numbers) -> Ground | None:
    """Return what pixels are on the ground around places of a grid, rows and columns (n,) from its corner.

    (0.5, 0.5) is the centre of the first pixel. None where the CRS has no relation to Earth, or a place lies
    off it.
    """
    right = np.concatenate([columns, columns - 0.5, columns + 0.5, columns, columns])
    down = np.concatenate([rows, rows, rows, rows - 0.5, rows + 0.5])
    found = places_of(crs, transform, down, right)
    if found is None or not (np.isfinite(found.lon).all() and np.isfinite(found.lat).all()):
        return None
    _, west, east, north, south = np.split(found.in_space, 5, axis=1)
    axes = _compass(found.lon[: len(rows)], found.lat[: len(rows)])
    steps = np.stack([east - west, south - north], axis=-1)  # (3, n, [right, down])
    return Ground(np.einsum("acn,cns->nas", axes, steps))


def _compass(lon: Numbers, lat: Numbers) -> Numbers:
    """Return the directions east and north in space, ([east, north], 3, n)."""
    still = np.zeros_like(lon)
    east = np.stack([-np.sin(lon), np.cos(lon), still])
    north = np.stack([-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)])
    return np.stack([east, north])
