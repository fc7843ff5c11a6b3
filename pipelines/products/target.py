"""The grid of a product: its coordinate system, the size of its pixels, and blocks that lie fast on Earth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import pyproj
from affine import Affine

from labeling.errors import ConfigError
from labeling.grid import Block
from labeling.maps.cover import AUTO, NORTH, SOUTH, Extent, covering, is_northern, wkt_of
from labeling.maps.grids import SQUARE_CM, MapGrid
from pipelines.products.maps import MapFile

BLOCK: Final = 1024
"""Pixels along a block: what a task holds of a product, and a few times that of maps."""

_ALIKE: Final = 1.5
"""From where on the sides of pixels differ too much to be put together unasked."""


class Target(NamedTuple):
    """A coordinate system, and squares in it."""

    wkt: str
    pixel: float
    """Side of a square, in units of the system."""
    origin: tuple[float, float]
    """Where a corner lies, x and y."""

    def covering(self, extents: list[Extent], most: int, what: str) -> MapGrid:
        """Return the grid of squares that covers extents; see cover.covering."""
        return covering(extents, self.wkt, self.pixel, most=most, what=what, origin=self.origin)

    def block(self, row: int, column: int, pixels: int) -> MapGrid:
        """Return a square of so many pixels a side as a grid; rows and columns of such count from `origin`.

        So a block is the same whatever grid it is part of, and stays as it is when that grows.
        """
        side = self.pixel * pixels
        x, y = self.origin[0] + column * side, self.origin[1] - row * side
        return MapGrid(self.wkt, (self.pixel, 0.0, x, 0.0, -self.pixel, y), pixels, pixels)

    def blocks(self, grid: MapGrid, pixels: int) -> Iterator[tuple[int, int, Block]]:
        """Yield row, column and place in a `grid` of this target of each block that it meets.

        The place can begin before the grid and end after it.
        """
        left = round((grid.transform[2] - self.origin[0]) / self.pixel)
        top = round((self.origin[1] - grid.transform[5]) / self.pixel)
        for row in range(top // pixels, -(-(top + grid.height) // pixels)):
            for column in range(left // pixels, -(-(left + grid.width) // pixels)):
                yield row, column, Block(row * pixels - top, column * pixels - left, pixels, pixels)


def system_of(crs: str, maps: list[MapFile], setting: str, *, common: bool) -> str:
    """Return a product's coordinate system as WKT.

    auto is that of all maps, if they have one in `common` and that may be, else EASE-Grid 2.0 of their
    hemisphere. ConfigError for an unknown one, and where maps of both hemispheres leave it open.
    """
    if crs != AUTO:
        return wkt_of(crs, setting)
    grids = [MapGrid.of(each.info) for each in maps]
    systems = {grid.crs for grid in grids}
    if common and len(systems) == 1:
        return systems.pop()
    northern = {is_northern(grid) for grid in grids}
    if len(northern) > 1:
        raise ConfigError(
            f"maps of both hemispheres cannot share a grid unasked. Choose scenes of one (--scenes), or give "
            f"{setting}, as {NORTH} (north) or {SOUTH} (south)."
        )
    return wkt_of(NORTH if northern.pop() else SOUTH, setting)


def sides_of(maps: list[MapFile]) -> list[float]:
    """Return the true side of each map's pixel in its middle, metres."""
    sides = []
    for each in maps:
        grid = MapGrid.of(each.info)
        area = int(grid.areas(Block(grid.height // 2, grid.width // 2, 1, 1))[0, 0])
        sides.append(float(np.sqrt(area / SQUARE_CM)))
    return sides


def check_alike(maps: list[MapFile], setting: str) -> None:
    """Raise ConfigError where the pixels of maps differ too much to be put together unasked."""
    sides = sides_of(maps)
    small, large = int(np.argmin(sides)), int(np.argmax(sides))
    if sides[large] > _ALIKE * sides[small]:
        raise ConfigError(
            f"the maps are of mixed resolutions: pixels of {maps[small].scene_id} are {sides[small]:.3g} m "
            f"wide, those of {maps[large].scene_id} {sides[large]:.3g} m. Choose scenes of one resolution "
            f"(--scenes), or say with {setting} which pixel all of them get."
        )


def target_of(wkt: str, pixel: float | None, maps: list[MapFile], setting: str) -> Target:
    """Return the squares of a product: of `pixel` units if that is given, else as large as maps' pixels.

    Where all maps lie on one grid of such squares, that is the product's, and nothing moves. ConfigError
    where the maps' pixels differ, or the system is in degrees and theirs are not.
    """
    own = {(each.info.crs, *_square(each.info.affine)) for each in maps}
    crs, side, x, y = own.pop()
    if not own and crs == wkt and side is not None and pixel in (None, side):
        return Target(wkt, side, (x, y))
    if pixel is None:
        check_alike(maps, setting)
        system = pyproj.CRS.from_wkt(wkt)
        if system.is_geographic:
            raise ConfigError(f"{setting} must be given, in degrees, for a product in {system.name}.")
        nominal = {abs(each.info.affine.a) if each.info.affine else 0.0 for each in maps}
        metres = float(system.axis_info[0].unit_conversion_factor)
        alike = len(nominal) == 1 and all(_is_metric(each) for each in maps)
        pixel = nominal.pop() if alike else round(float(np.median(sides_of(maps))), 1)
        pixel /= metres
    return Target(wkt, pixel, (0.0, 0.0))


def _is_metric(found: MapFile) -> bool:
    crs = pyproj.CRS.from_wkt(found.info.crs or "")
    return crs.is_projected and crs.axis_info[0].unit_conversion_factor == 1


def _square(transform: Affine | None) -> tuple[float | None, float, float]:
    """Return the side and the offsets of a grid of squares with north up; None for any other."""
    if transform is None or transform.b or transform.d or transform.a != -transform.e or transform.a <= 0:
        return None, 0.0, 0.0
    return transform.a, transform.c % transform.a, transform.f % transform.a
