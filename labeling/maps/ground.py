"""How far on the ground a step on a map's grid leads: metres east and north for a pixel right and down.

Projections stretch, and Web Mercator at 76 degrees by four; so no length of ours is a nominal pixel times a
count. Steps are taken on the ellipsoid, between places in the middle of a pixel's sides.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyproj
from affine import Affine
from numpy.typing import NDArray
from pyproj.exceptions import ProjError
from rasterio.crs import CRS

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
    x = transform.a * right + transform.b * down + transform.c
    y = transform.d * right + transform.e * down + transform.f
    try:
        to_degrees = pyproj.Transformer.from_crs(crs.to_wkt(), "EPSG:4326", always_xy=True)
        lon, lat = to_degrees.transform(x, y)
    except ProjError:
        return None
    if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
        return None
    # From the Earth's middle there is no pole and no date line.
    to_middle = pyproj.Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)
    places = np.stack(to_middle.transform(lon, lat, np.zeros_like(lon)))
    _, west, east, north, south = np.split(places, 5, axis=1)
    axes = _compass(np.radians(lon[: len(rows)]), np.radians(lat[: len(rows)]))
    steps = np.stack([east - west, south - north], axis=-1)  # (3, n, [right, down])
    return Ground(np.einsum("acn,cns->nas", axes, steps))


def _compass(lon: Numbers, lat: Numbers) -> Numbers:
    """Return the directions east and north in space, ([east, north], 3, n)."""
    still = np.zeros_like(lon)
    east = np.stack([-np.sin(lon), np.cos(lon), still])
    north = np.stack([-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)])
    return np.stack([east, north])
