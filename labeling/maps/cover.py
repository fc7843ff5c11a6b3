"""Grids that cover maps: which coordinate system, how far they reach, and that none is absurd."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache
from typing import Final, Literal, NamedTuple, Self

import numpy as np
import pyproj
from numpy.typing import NDArray
from pyproj.exceptions import ProjError
from rasterio.crs import CRS

from labeling.errors import ConfigError, SceneError
from labeling.grid import Block
from labeling.maps.grids import MapGrid
from labeling.results.item import footprint

NORTH, SOUTH = "EPSG:6931", "EPSG:6932"
"""EASE-Grid 2.0, equal-area, of each hemisphere."""

AUTO: Final[Literal["auto"]] = "auto"
"""In the place of a coordinate system: EASE-Grid 2.0 of the hemisphere."""

_SIDE_POINTS: Final = 65
"""Points along each side of a grid that are projected: sides are curves elsewhere."""


class Extent(NamedTuple):
    """A rectangle in some coordinate system."""

    west: float
    south: float
    east: float
    north: float

    @classmethod
    def around(cls, extents: Iterable[Extent]) -> Self:
        """Return the least rectangle that holds all of some, one at least."""
        west, south, east, north = zip(*extents, strict=True)
        return cls(min(west), min(south), max(east), max(north))

    def meets(self, other: Extent) -> bool:
        """Tell whether two rectangles of one system share ground."""
        return (
            self.west < other.east
            and other.west < self.east
            and self.south < other.north
            and other.south < self.north
        )


@cache
def wkt_of(crs: str, setting: str) -> str:
    """Return a coordinate system as WKT from what a `setting` calls it; ConfigError for one that is unknown,
    or has no place on Earth in two dimensions.
    """
    try:
        found = pyproj.CRS.from_user_input(crs)
        pyproj.Transformer.from_crs(found, "EPSG:4326", always_xy=True)
    except ProjError as error:
        reason = str(error).partition(":")[0]
        raise ConfigError(
            f"{setting} is {crs}, which is no coordinate system with a place on Earth ({reason}). Give "
            "one by its code, such as EPSG:6931 (north), EPSG:6932 (south), EPSG:3413 or EPSG:3031."
        ) from None
    if not (found.is_projected or found.is_geographic) or len(found.axis_info) != 2:
        raise ConfigError(
            f"{setting} is {crs} ({found.name}), and a grid needs two axes, in metres or degrees. Give such "
            "a one by its code, as EPSG:6931 (north) or EPSG:6932 (south)."
        )
    return str(CRS.from_user_input(found).to_wkt())


def metric(crs: str, setting: str) -> tuple[str, float]:
    """Return a coordinate system as WKT, and how many metres a unit of it has.

    ConfigError as `wkt_of`, and for one in degrees.
    """
    wkt = wkt_of(crs, setting)
    found = pyproj.CRS.from_wkt(wkt)
    if found.is_geographic:
        raise ConfigError(
            f"{setting} is {found.name}, in degrees, and the sides of cells are kilometres. Give a "
            f"system in metres, such as {NORTH} (north), {SOUTH} (south), EPSG:3413 or EPSG:3031."
        )
    return wkt, float(found.axis_info[0].unit_conversion_factor)


def to_degrees(
    wkt: str, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return longitudes and latitudes (n,) of places (n,) in a coordinate system."""
    project = pyproj.Transformer.from_crs(wkt, "EPSG:4326", always_xy=True)
    # One place too many, because pyproj takes an array of a single element for a number.
    lon, lat = project.transform(np.append(x, 0.0), np.append(y, 0.0))
    return lon[:-1], lat[:-1]


def is_northern(grid: MapGrid) -> bool:
    """Tell whether the middle of a grid lies north of the equator; SceneError where it lies nowhere."""
    x, y = grid.affine @ (grid.width / 2, grid.height / 2)
    try:
        latitude = pyproj.Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform(x, y)[1]
    except ProjError:
        latitude = math.nan
    if not math.isfinite(latitude):
        raise SceneError(_nowhere(grid, "EPSG:4326"))
    return bool(latitude >= 0)


def extent(grid: MapGrid, wkt: str) -> Extent:
    """Return how far a grid reaches in a coordinate system; SceneError where it has no place in it.

    In degrees one that crosses longitude 180, or holds a pole, reaches all around.
    """
    if pyproj.CRS.from_wkt(wkt).is_geographic:
        return _in_degrees(grid, wkt)
    along = np.linspace(0, 1, _SIDE_POINTS)
    down = np.concatenate([0 * along, 0 * along + 1, along, along]) * grid.height
    right = np.concatenate([along, along, 0 * along, 0 * along + 1]) * grid.width
    to = grid.affine
    x, y = to.a * right + to.b * down + to.c, to.d * right + to.e * down + to.f
    if grid.crs != wkt:
        try:
            x, y = pyproj.Transformer.from_crs(grid.crs, wkt, always_xy=True).transform(x, y)
        except ProjError:
            raise SceneError(_nowhere(grid, wkt)) from None
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise SceneError(_nowhere(grid, wkt))
    return Extent(float(x.min()), float(y.min()), float(x.max()), float(y.max()))


def reach_of(grid: MapGrid, block: Block) -> Extent:
    """Return how far a block of a grid with north up reaches in its own system."""
    (west, north), (east, south) = (
        grid.affine @ corner
        for corner in ((block.column, block.row), (block.column + block.width, block.row + block.height))
    )
    return Extent(west, south, east, north)


def _in_degrees(grid: MapGrid, wkt: str) -> Extent:
    found = footprint(CRS.from_wkt(grid.crs), grid.affine, height=grid.height, width=grid.width)
    if found is None:
        raise SceneError(_nowhere(grid, wkt))
    west, south, east, north = found.bbox
    return Extent(west, south, east, north) if west < east else Extent(-180.0, south, 180.0, north)


def _nowhere(grid: MapGrid, wkt: str) -> str:
    names = (pyproj.CRS.from_user_input(crs).name for crs in (grid.crs, wkt))
    own, wanted = names
    return (
        f"it has no place in {wanted}: its own coordinate system is {own}. Leave it out (--scenes), or "
        "choose a system that has a place for it, such as EPSG:6931 in the north and EPSG:6932 in the south."
    )


def covering(
    extents: Iterable[Extent],
    wkt: str,
    size: float,
    *,
    most: int,
    what: str,
    origin: tuple[float, float] = (0.0, 0.0),
) -> MapGrid:
    """Return the grid of squares of `size` units that covers all extents, with a corner at `origin`, x and y.

    Corners at whole sizes from 0, 0 are those of EASE-Grid 2.0 and of NSIDC's polar stereographic grids.
    ConfigError, which calls the grid `what`, where it would have more squares than `most`.
    """
    west, south, east, north = Extent.around(extents)
    x, y = origin
    near = 1e-6  # of a size: a border that lies on a corner, but for the last bits of its projection
    left, right = math.floor((west - x) / size + near), math.ceil((east - x) / size - near)
    low, high = math.floor((south - y) / size + near), math.ceil((north - y) / size - near)
    width, height = max(1, right - left), max(1, high - low)
    if width * height > most:
        raise ConfigError(
            f"{what} would have {height} rows x {width} columns, and {most} squares are the most: its scenes "
            "lie too far apart, or its squares are too small. Choose fewer scenes (--scenes, --since, "
            "--until), larger squares, or another coordinate system."
        )
    return MapGrid(wkt, (size, 0.0, x + left * size, 0.0, -size, y + high * size), height, width)
