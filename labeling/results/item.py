"""STAC Items: what a catalogue needs to know of a finished scene, written beside its rasters.

An Item says where and when a scene was taken, which files hold its classes, what their codes mean and how
many pixels each has. It is STAC 1.1 with the extensions projection, classification, view, sat, grid, file,
raster and render; what has no name there is called polynya:….
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import product
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyproj
import pystac
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj.exceptions import ProjError
from pystac.extensions.grid import GridExtension
from pystac.extensions.projection import ProjectionExtension
from pystac.extensions.sat import SatExtension
from pystac.extensions.view import ViewExtension
from rasterio.crs import CRS

import labeling
from labeling.classes import IceClass
from labeling.files.atomic import remove, write_json
from labeling.files.storage import AnyPath
from labeling.files.uri import is_url
from labeling.results.assets import ItemAsset, add_asset
from labeling.results.described import describe_files
from labeling.scenes.contract.scene import SceneInfo

ITEM: Final = "item.json"
"""Name of the Item in a scene's folder."""

SIDE_POINTS: Final = 24
"""Points along each side of a footprint, because sides are curves in longitude and latitude."""

INSET: Final = 1e-3
"""Pixels by which footprints are drawn small, so that no side runs through a pole or along 180 degrees."""

DIGITS: Final = 7
"""Decimals of longitudes and latitudes: a centimetre."""

Fact = str | int | float | bool | list[str] | None


class Footprint(NamedTuple):
    """Where a scene lies, in degrees, as RFC 7946 wants it."""

    shape: shapely.Geometry
    """Polygon, or several that are cut at 180 degrees; one around a pole goes down (up) to it."""
    bbox: list[float]
    """West, south, east, north; west is greater than east where 180 degrees lies within."""


def write_item(
    target: AnyPath,
    info: SceneInfo,
    *,
    item_id: str,
    assets: Iterable[ItemAsset],
    areas: Mapping[str, float] | None = None,
    facts: Mapping[str, Fact] | None = None,
) -> bool:
    """Write a finished scene's Item, atomically; return whether there is one.

    An Item needs place and time: where the scene has no georeference or no sensing time, or does not lie on
    Earth, there is none, and one from before is removed. `target` is beside the files of `assets`, which must
    be there. `areas` has the square metres of each class by its name. `facts`, such as the profile's name,
    become properties polynya:<name>; None is left out.
    """
    item = _item_in_place(info, item_id)
    if item is None:
        remove(target)
        return False
    item.properties |= _own_properties(info, areas, facts or {})
    _add_observation(item, info)
    for asset in assets:
        add_asset(item, target.parent, asset)
    describe_files(item, target.parent)
    uri = info.where if is_url(info.uri) else Path(info.uri).absolute().as_uri()
    item.add_link(pystac.Link(pystac.RelType.DERIVED_FROM, uri, title="Scene"))
    write_json(target, item.to_dict(include_self_link=False, transform_hrefs=False))
    return True


def footprint(crs: CRS, transform: Affine, *, height: int, width: int) -> Footprint | None:
    """Return where a raster lies; None where its CRS has no relation to Earth, or its border lies off it."""
    border = _border(crs, transform, height=height, width=width)
    if border is None:
        return None
    west, east = border[:, 0].min(), border[:, 0].max()
    turns = round((border[-1, 0] - border[0, 0]) / 360)
    if turns or east - west > 360:
        west, east = -180.0, 180.0
    ring = _around_pole(border, turns) if turns else border[:-1]
    drawn = [shapely.Polygon(_turned(ring, n)) for n in ((0,) if turns else (-1, 0, 1))]
    parts = shapely.union_all(shapely.intersection(drawn, shapely.box(-180, -90, 180, 90)))
    shape = shapely.orient_polygons(shapely.set_precision(parts, 10.0**-DIGITS))
    sides = (_within_180(west), shape.bounds[1], _within_180(east), shape.bounds[3])
    return Footprint(shape, [round(float(side), DIGITS) for side in sides])


def _border(crs: CRS, transform: Affine, *, height: int, width: int) -> NDArray[np.float64] | None:
    """Return longitudes and latitudes (n, 2) all around a raster, its inside on the left.

    Longitudes run on beyond 180 degrees, and end a full turn from where they began if a pole is inside.
    """
    along, still = np.linspace(0, 1, SIDE_POINTS, endpoint=False), np.zeros(SIDE_POINTS)
    right = np.concatenate([along, still + 1, 1 - along, still, still[:1]])
    down = np.concatenate([still, along, still + 1, 1 - along, still[:1]])
    columns, rows = INSET + right * (width - 2 * INSET), INSET + down * (height - 2 * INSET)
    if transform.determinant < 0:  # rows run south, so this is clockwise
        columns, rows = columns[::-1], rows[::-1]
    x = transform.a * columns + transform.b * rows + transform.c
    y = transform.d * columns + transform.e * rows + transform.f
    try:
        lon, lat = pyproj.Transformer.from_crs(crs.to_wkt(), "EPSG:4326", always_xy=True).transform(x, y)
    except ProjError:
        return None
    return np.stack([np.unwrap(lon, period=360), lat], 1) if np.isfinite(lon).all() else None


def _around_pole(border: NDArray[np.float64], turns: int) -> NDArray[np.float64]:
    """Return a ring (n, 2) that covers all longitudes between a border around a pole and the pole.

    With the inside on the left, the way east (`turns` 1) is around the north pole, the way west (-1) south.
    """
    path = np.concatenate([_turned(border[:-1], turns * n) for n in (-1, 0, 1)])
    return np.concatenate([path, [(path[-1, 0], 90.0 * turns), (path[0, 0], 90.0 * turns)]])


def _turned(places: NDArray[np.float64], turns: int) -> NDArray[np.float64]:
    return np.asarray(places + np.array([360.0 * turns, 0.0]))


def _within_180(lon: float) -> float:
    return lon if -180 <= lon <= 180 else (lon + 180) % 360 - 180


# --- what the Item says ---


def _item_in_place(info: SceneInfo, item_id: str) -> pystac.Item | None:
    """Return an Item with a scene's place, time and grid; None where the scene lacks them."""
    if info.crs is None or info.affine is None or info.sensing_time is None:
        return None
    crs = CRS.from_wkt(info.crs)
    place = footprint(crs, info.affine, height=info.height, width=info.width)
    if place is None:
        return None
    geometry = shapely.geometry.mapping(place.shape)
    item = pystac.Item(
        item_id, geometry, place.bbox, datetime.fromisoformat(info.sensing_time), properties={}
    )
    _add_grid(item, crs, info.affine, info)
    return item


def _own_properties(
    info: SceneInfo, areas: Mapping[str, float] | None, facts: Mapping[str, Fact]
) -> dict[str, Any]:
    own: dict[str, Fact] = {
        "version": labeling.__version__,
        "product_type": info.product_type,
        "processing_baseline": info.baseline,
    }
    if areas is not None:
        own |= {f"{c.name.lower()}_km2": round(areas[c.name.lower()] / 1e6, 6) for c in IceClass}
    return {f"polynya:{name}": value for name, value in {**own, **facts}.items() if value is not None}


def _add_grid(item: pystac.Item, crs: CRS, transform: Affine, info: SceneInfo) -> None:
    """Say on which grid the rasters lie; a CRS that has no code is written out."""
    authority = crs.to_authority()
    corners = [transform @ corner for corner in product((0, info.width), (0, info.height))]
    ProjectionExtension.ext(item, add_if_missing=True).apply(
        code=":".join(authority) if authority else None,
        wkt2=None if authority else crs.to_wkt(version="WKT2_2019"),
        projjson=None if authority else crs.to_dict(projjson=True),
        bbox=list(shapely.MultiPoint(corners).bounds),
        shape=[info.height, info.width],
        transform=list(transform[:6]),
    )


def _add_observation(item: pystac.Item, info: SceneInfo) -> None:
    """Say what is known of how the scene was taken."""
    if info.relative_orbit is not None:
        SatExtension.ext(item, add_if_missing=True).relative_orbit = info.relative_orbit
    if info.tile is not None:
        GridExtension.ext(item, add_if_missing=True).apply(f"MGRS-{info.tile}")
    if info.sun_zenith is not None:
        ViewExtension.ext(item, add_if_missing=True).sun_elevation = round(90 - info.sun_zenith, 6)
