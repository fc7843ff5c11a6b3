"""Which pixels of a grid lie inside shapes, wherever on Earth both are.

Shapes are never projected onto the grid: that would tear them at the antimeridian and at the poles. The
grid's pixels go the other way, into the coordinates of the shapes' file, where all of Earth has a place and
an edge is the straight line that its author drew. Tiles of the grid clear of every edge are settled at once,
others are cut smaller, and only pixels along edges are tested one by one.
"""

from __future__ import annotations

from copy import copy
from typing import Any, Final, Self

import numpy as np
import pyproj
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS

from labeling.errors import ConfigError, SceneError
from labeling.masks.layers import VectorLayer

SIDES: Final = (1024, 128, 16)
"""Pixels along a tile at each round; each is a multiple of the next."""

CHUNK: Final = 1024
"""How many of the smallest tiles have their pixels tested at a time, which bounds the memory."""


def _unrelated(layer: VectorLayer, crs: CRS, error: Exception) -> SceneError | ConfigError:
    """Return which of two coordinate systems has no place on Earth: the scene's, or else the file's."""
    own = pyproj.CRS.from_user_input(crs.to_wkt())
    try:
        pyproj.Transformer.from_crs(own, "EPSG:4326", always_xy=True)
    except pyproj.exceptions.ProjError:
        return SceneError(
            f"the scene's coordinate system ({own.name}) has no place on Earth, so {layer.role.subject} "
            "cannot be found in it. State the true one, as in `rio edit-info --crs EPSG:32758 FILE`, or "
            f"leave {layer.role.setting} out."
        )
    return ConfigError(
        f"the CRS of {layer.path} has no known relation to the scene's: {error}. Save the file in longitude "
        "and latitude (EPSG:4326), for example in QGIS with Reproject Layer."
    )


class PixelPlaces:
    """Places of a grid's pixels in the coordinates of a layer."""

    def __init__(self, layer: VectorLayer, crs: CRS, transform: Affine) -> None:
        try:
            file_crs = pyproj.CRS.from_user_input(layer.crs)
            self._project = pyproj.Transformer.from_crs(crs.to_wkt(), file_crs, always_xy=True).transform
        except pyproj.exceptions.ProjError as error:
            raise _unrelated(layer, crs, error) from None
        self._transform, self._geographic = transform, file_crs.is_geographic
        # What may have to be added to x, which is within -180..180 degrees, to find a place in the file.
        self.turns = (-360.0, 0.0, 360.0) if self._geographic else (0.0,)

    def from_pixel(self, row: int, column: int) -> Self:
        """Return the same for the grid that begins at a pixel of this one."""
        moved = copy(self)
        moved._transform = self._transform @ Affine.translation(column, row)
        return moved

    def box(self, height: int, width: int) -> shapely.Geometry:
        """Return a rectangle that holds so many rows and columns from the grid's corner on."""
        corner = np.zeros(1, int)
        return self.boxes(corner, corner, (height, width), lattice=33)[0]

    def place(self, rows: NDArray[Any], columns: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return x and y of places, f64 of one shape; NaN where the file's CRS has no such place.

        Rows and columns count from the scene's corner: (0.5, 0.5) is the centre of the first pixel.
        """
        to, shape = self._transform, rows.shape
        # Two places too many, because pyproj takes an array of a single element for a number.
        rows, columns = np.append(rows, (0.0, 0.0)), np.append(columns, (0.0, 0.0))
        found = self._project(to.a * columns + to.b * rows + to.c, to.d * columns + to.e * rows + to.f)
        x, y = (np.where(np.isfinite(axis), axis, np.nan)[:-2].reshape(shape) for axis in found)
        if self._geographic:
            x = np.where(np.abs(x) > 180, (x + 180) % 360 - 180, x)
        return x, y

    def boxes(
        self, rows: NDArray[np.int_], columns: NDArray[np.int_], shape: tuple[int, ...], lattice: int = 5
    ) -> NDArray[Any]:
        """Return rectangles that hold the tiles of (height, width) `shape` at first pixels (n,) and (n,).

        A `lattice` of so many points a side is projected. Rectangles can be too large, and never too small
        but where coordinates run to infinity, as Mercator's at a pole.
        """
        down, right = (np.linspace(0, side, lattice) for side in shape)
        tiles = np.broadcast_arrays(rows[:, None, None] + down[:, None], columns[:, None, None] + right)
        (west, east), (south, north) = map(_bounds, self.place(*tiles))
        if self._geographic:
            # A tile that may reach over one of these lines can have any longitude.
            over = (west < -180) | (east > 180) | (south < -90) | (north > 90)
            west, east = np.where(over, -180, west), np.where(over, 180, east)
        return np.asarray(shapely.box(west, south, east, north))


def _bounds(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return bounds (n,) of a coordinate over whole tiles from its values (n, k, k) on their lattices."""
    # Between lattice points a coordinate can swing out, but by less than neighbours differ.
    step = np.maximum(*(np.abs(np.diff(values, axis=axis)).max(axis=(1, 2)) for axis in (1, 2)))
    low, high = values.min(axis=(1, 2)) - step, values.max(axis=(1, 2)) + step
    # Where it is not known everywhere: beyond all of Earth, in any unit.
    return np.nan_to_num(low, nan=-1e9), np.nan_to_num(high, nan=1e9)


def fill(mask: NDArray[np.bool_], shape: shapely.Geometry, grid: PixelPlaces) -> None:
    """Set the pixels of `mask` whose centres are in a shape; its border is in it."""
    shapely.prepare(shape)
    rows, columns, whole = np.zeros(1, int), np.zeros(1, int), max(mask.shape)
    for side in SIDES:
        rows, columns = _cut(rows, columns, whole, side, mask.shape)
        boxes = grid.boxes(rows, columns, (side, side))
        inside = shapely.contains_properly(shape, boxes)
        for row, column in zip(rows[inside], columns[inside], strict=True):
            mask[row : row + side, column : column + side] = True
        edge = ~inside & shapely.intersects(shape, boxes)
        rows, columns, whole = rows[edge], columns[edge], side
    for start in range(0, len(rows), CHUNK):
        chunk = slice(start, start + CHUNK)
        pixels = _cut(rows[chunk], columns[chunk], whole, 1, mask.shape)
        # A border counts, because files cut their polygons there.
        mask[pixels] = shapely.intersects_xy(shape, *grid.place(pixels[0] + 0.5, pixels[1] + 0.5))


def _cut(
    rows: NDArray[np.int_], columns: NDArray[np.int_], side: int, smaller: int, shape: tuple[int, ...]
) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """Return the first pixels of square tiles once they are cut smaller, without those outside `shape`."""
    down, right = np.mgrid[0:side:smaller, 0:side:smaller].reshape(2, -1)
    rows, columns = (rows[:, None] + down).ravel(), (columns[:, None] + right).ravel()
    within = (rows < shape[0]) & (columns < shape[1])
    return rows[within], columns[within]
