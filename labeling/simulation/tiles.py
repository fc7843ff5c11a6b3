"""Sentinel-2's grid of tiles, the 100 km squares of the MGRS: where a simulated product lies."""

from __future__ import annotations

from typing import NamedTuple

from rasterio.crs import CRS
from rasterio.warp import transform as reproject

from labeling.simulation.scene import SceneSpec, placement


class Tile(NamedTuple):
    """A tile of Sentinel-2's grid: 100 km squares of the MGRS, a little larger and on whole 60 m."""

    name: str
    """For example "58CDB"."""
    crs: str
    """Its UTM zone, for example "EPSG:32758"."""
    left: int
    top: int
    """Easting and northing of the upper left corner, metres."""


def find_tile(spec: SceneSpec) -> Tile:
    """Return the tile that holds the place of a scene."""
    corner = placement(spec)
    [longitude], [latitude] = reproject(
        CRS.from_user_input(spec.crs), CRS.from_epsg(4326), [corner.c], [corner.f]
    )
    return tile_at(longitude, latitude)


def tile_at(longitude: float, latitude: float) -> Tile:
    """Return the tile whose 100 km square holds a place, in degrees, away from Norway's and the polar grids.

    Source: the MGRS, and the corners that real tiles state.
    """
    zone = int((longitude + 180) // 6) % 60 + 1
    crs = f"EPSG:{327 if latitude < 0 else 326}{zone:02d}"
    [easting], [northing] = reproject(CRS.from_epsg(4326), CRS.from_user_input(crs), [longitude], [latitude])
    column, row = int(easting // 100_000), int(northing // 100_000)
    # Rows of 60 m are counted from the equator, which has northing 10 000 km in the south.
    equator = 10_000_000 if latitude < 0 else 0
    return Tile(
        f"{zone:02d}{_square(zone, latitude, column, row)}", crs,
        left=column * 100_000 // 60 * 60, top=equator - (equator - (row + 1) * 100_000) // 60 * 60,
    )  # fmt: skip


def _square(zone: int, latitude: float, column: int, row: int) -> str:
    """Return the MGRS letters of a 100 km square: latitude band, column, row (of false northings)."""
    band = "CDEFGHJKLMNPQRSTUVWX"[int((latitude + 80) // 8)]
    # Columns begin anew in every third zone; rows are shifted by five in even zones.
    columns, rows = ("STUVWXYZ", "ABCDEFGH", "JKLMNPQR")[zone % 3], "ABCDEFGHJKLMNPQRSTUV"
    return band + columns[column - 1] + rows[(row + 5 * (zone % 2 == 0)) % len(rows)]
