"""True areas of classes: on the ellipsoid, whatever a projection stretches.

Pixels are counted by cells that lie on the scene's own grid, and each cell has the area of the pixel in its
middle. Counts are whole numbers and cells are added up in their order, so areas do not depend on how the
scene is cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import pyproj
from affine import Affine
from numpy.typing import NDArray
from pyproj.exceptions import ProjError
from rasterio.crs import CRS

from labeling.grid import Block
from labeling.scenes.contract.scene import SceneInfo

CELLS: Final = 64
"""Cells along a scene's longer side, at most."""

LEAST_CELL: Final = 32
"""Pixels along a cell, at least."""

_A: Final = 6_378_137.0
_E2: Final = 0.006_694_379_990_141_316
"""Semi-major axis in metres and squared eccentricity of WGS 84."""


class AreaCount:
    """Counts a scene's pixels of each code by cells, block by block."""

    def __init__(self, info: SceneInfo, codes: Sequence[int]) -> None:
        self._info, self._codes = info, codes
        self._side = max(LEAST_CELL, -(-max(info.height, info.width) // CELLS))
        rows, columns = (-(-side // self._side) for side in (info.height, info.width))
        self._counts = np.zeros((rows, columns, len(codes)), np.int64)

    @property
    def pixels(self) -> list[int]:
        """How many pixels have each code."""
        return [int(count) for count in self._counts.sum(axis=(0, 1))]

    def add(self, block: Block, codes: NDArray[np.uint8]) -> None:
        """Count a block, once; `codes` is u8 (height, width)."""
        side = self._side
        for row in range(block.row // side, -(-(block.row + block.height) // side)):
            for column in range(block.column // side, -(-(block.column + block.width) // side)):
                part = Block(row * side, column * side, side, side).meet(block)
                seen = codes[part.inside(block)]
                for index, code in enumerate(self._codes):
                    self._counts[row, column, index] += np.count_nonzero(seen == np.uint8(code))

    def square_metres(self) -> list[float] | None:
        """Return the area of each code; None where the scene does not say where on Earth it lies."""
        info = self._info
        if info.crs is None or info.affine is None:
            return None
        down, right = (self._middles(limit) for limit in (info.height, info.width))
        rows, columns = np.meshgrid(down, right, indexing="ij")
        areas = pixel_areas(CRS.from_wkt(info.crs), info.affine, rows, columns)
        if areas is None:
            return None
        counts = self._counts.reshape(areas.size, -1)
        return [float((areas * counts[:, index]).sum()) for index in range(len(self._codes))]

    def _middles(self, limit: int) -> NDArray[np.float64]:
        """Return where the middles of the cells lie along a side of so many pixels."""
        first = np.arange(0, limit, self._side)
        return np.asarray((first + np.minimum(first + self._side, limit)) / 2, np.float64)


def pixel_areas(
    crs: CRS, transform: Affine, rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """Return the areas in square metres of pixels around places of a grid, f64 (n,), in their order.

    Rows and columns count from the grid's corner: (0.5, 0.5) is the centre of the first pixel. What lies off
    Earth has no area; None where all does, or the CRS has no relation to Earth.
    """
    down, right = rows.ravel(), columns.ravel()
    right, down = (
        np.concatenate([right - 0.5, right + 0.5, right, right]),
        np.concatenate([down, down, down - 0.5, down + 0.5]),
    )
    places = places_of(crs, transform, down, right)
    if places is None:
        return None
    west, east, north, south = np.split(places.in_space, 4, axis=1)
    areas = np.linalg.norm(np.cross(east - west, south - north, axis=0), axis=0)
    known = np.isfinite(areas)
    return np.where(known, areas, 0.0) if known.any() else None


class Places(NamedTuple):
    """Places on the ellipsoid, n of them; not finite where one lies off Earth."""

    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    """Radians, (n,)."""

    @property
    def in_space(self) -> NDArray[np.float64]:
        """Metres from the Earth's middle, (3, n): no pole, no date line."""
        with np.errstate(invalid="ignore"):
            normal = _A / np.sqrt(1 - _E2 * np.sin(self.lat) ** 2)
            flat = normal * np.cos(self.lat)
            height = normal * (1 - _E2) * np.sin(self.lat)
            return np.stack([flat * np.cos(self.lon), flat * np.sin(self.lon), height])


def places_of(
    crs: CRS, transform: Affine, rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> Places | None:
    """Return where places of a grid lie, rows and columns (n,) from its corner; None without Earth."""
    x = transform.a * columns + transform.b * rows + transform.c
    y = transform.d * columns + transform.e * rows + transform.f
    try:
        to_degrees = pyproj.Transformer.from_crs(crs.to_wkt(), "EPSG:4326", always_xy=True)
        lon, lat = to_degrees.transform(x, y)
    except ProjError:
        return None
    with np.errstate(invalid="ignore"):
        return Places(np.radians(lon), np.radians(lat))
