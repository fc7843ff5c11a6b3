"""Where the pixels of one grid lie in another, exactly.

Places are interpolated (lattice.py); where that leaves open in which pixel of the other grid a place lies,
PROJ is asked. So the answer is that of asking PROJ for every pixel, for a fraction of the time.
"""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple

import numpy as np
import pyproj
from affine import Affine
from numpy.typing import NDArray
from pyproj.exceptions import ProjError

from labeling.errors import SceneError
from labeling.grid import Block
from labeling.maps.grids import MapGrid
from labeling.maps.lattice import smooth

TOLERANCE: Final = 0.002
"""Pixels of the other grid by which a place may be off before it is asked for exactly."""


class Cells(NamedTuple):
    """Pixels of a grid, by row and column; -1 both for what lies outside of it."""

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]


def cells_of(grid: MapGrid, other: MapGrid, block: Block) -> Cells:
    """Return in which pixels of `other` the centres of a block of `grid` lie, i64 (height, width) both.

    SceneError where no coordinates of one system are known in the other.
    """
    places = _Places(grid, other)
    found = smooth(places.exact, block, TOLERANCE)
    near = (np.abs(found - np.rint(found)) <= 2 * TOLERANCE).any(axis=0)
    if near.any():
        rows, columns = np.nonzero(near)
        found[:, near] = places.exact(rows + (block.row + 0.5), columns + (block.column + 0.5))
    with np.errstate(invalid="ignore"):
        limits = np.array([other.height, other.width])[:, None, None]
        inside = ((found >= 0) & (found < limits)).all(axis=0)  # False for NaN
    rows, columns = np.where(inside, np.floor(found), -1.0).astype(np.int64)
    return Cells(rows, columns)


class _Places:
    """Where places of a grid lie in another."""

    def __init__(self, grid: MapGrid, other: MapGrid) -> None:
        self._from, self._to = grid.affine, ~other.affine
        self._project = None if grid.crs == other.crs else _transformer(grid.crs, other.crs)
        west = min((other.affine @ corner)[0] for corner in _corners(other))
        self._west = west if pyproj.CRS.from_wkt(other.crs).is_geographic else None

    def exact(self, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return rows and columns of the other grid, (2, n), for those of this one; see lattice.Field."""
        x, y = _applied(self._from, columns, rows)
        if self._project is not None:
            # One place too many, because pyproj takes an array of a single element for a number.
            x, y = (axis[:-1] for axis in self._project.transform(np.append(x, 0.0), np.append(y, 0.0)))
        known = np.isfinite(x) & np.isfinite(y)
        x, y = np.where(known, x, np.nan), np.where(known, y, np.nan)
        if self._west is not None:
            x = self._west + (x - self._west) % 360.0
        right, down = _applied(self._to, x, y)
        return np.stack([down, right])


def _applied(
    transform: Affine, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return transform.a * x + transform.b * y + transform.c, transform.d * x + transform.e * y + transform.f


def _corners(grid: MapGrid) -> list[tuple[float, float]]:
    return [(column, row) for column in (0.0, grid.width) for row in (0.0, grid.height)]


@cache
def _transformer(crs: str, other: str) -> pyproj.Transformer:
    try:
        return pyproj.Transformer.from_crs(crs, other, always_xy=True)
    except ProjError as error:
        raise SceneError(
            f"no coordinates of {pyproj.CRS(crs).name} are known in {pyproj.CRS(other).name}: {error}. "
            "Choose another coordinate system, or leave out the scenes that are in this one."
        ) from None
