"""Layers of polygons in vector files: checked before a job begins, and read.

What a file holds is looked at in a process of its own (bounded.py): it may be anybody's.
"""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyogrio
import shapely
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError

from labeling.errors import ConfigError
from labeling.files.storage import is_waiting
from labeling.masks.bounded import bounded
from labeling.masks.vector_kinds import GDAL_OPTIONS, check_kind


class Role(NamedTuple):
    """What a vector file is for, in messages."""

    what: str
    """What the file is called."""
    subject: str
    """What its polygons are."""
    setting: str
    """Where the file is named, and the same for its layer and for a field of it."""
    layer: str
    field: str = ""


LAND: Final = Role("land file", "land", "land.vector", "land.layer")


class VectorLayer(NamedTuple):
    """A layer of polygons that `open_layer` has checked."""

    path: Path
    name: str
    crs: str
    """Authority and code, or WKT."""
    role: Role = LAND


def open_layer(path: Path, name: str | None = None, role: Role = LAND) -> VectorLayer:
    """Check a vector file and return its layer `name`, or its only one. A job calls it early, to fail early.

    Raises ConfigError where the file is missing or of no kind that is read (vector_kinds.py), the layer is
    not there or must be named, it has no polygons, it does not say its CRS, or looking for all that takes too
    much time or memory.
    """
    if not path.exists():
        raise ConfigError(f"the {role.what} {path} does not exist. Check {role.setting}.")
    if is_waiting(str(path)):
        raise ConfigError(f"the {role.what} {path} is no file, but a pipe or a device. Check {role.setting}.")
    check_kind(path, role.what)
    return bounded(partial(_check_layer, path, name, role), f"the {role.what} {path}")


def _check_layer(path: Path, name: str | None, role: Role = LAND) -> VectorLayer:
    pyogrio.set_gdal_config_options(GDAL_OPTIONS)
    try:
        chosen = _choose_layer(path, pyogrio.list_layers(path)[:, 0].tolist(), name, role)
        info = pyogrio.read_info(path, layer=chosen)
    except (DataLayerError, DataSourceError) as error:
        raise ConfigError(f"cannot read the {role.what} {path}: {error}") from None
    kind, count = str(info["geometry_type"]), info["features"]
    # Of a layer of several kinds OGR only says that it is mixed, so look.
    if count == 0 or ("Polygon" not in kind and not len(read_polygons(VectorLayer(path, chosen, "", role)))):
        raise ConfigError(
            f"layer '{chosen}' of {path} has no polygons ({count} features of kind {kind}). "
            f"Draw {role.subject} as areas, not as lines or points."
        )
    if info["crs"] is None:
        raise ConfigError(
            f"layer '{chosen}' of {path} does not say which CRS its coordinates are in. {_naming_crs(path)}"
        )
    return VectorLayer(path, chosen, info["crs"], role)


def _naming_crs(path: Path) -> str:
    """Return how to say which CRS a file is in."""
    if path.suffix.lower() != ".shp":
        return "Write it into the file, for example in QGIS with Assign Projection."
    code = "import pyproj; print(pyproj.CRS(4326).to_wkt('WKT1_ESRI'))"
    return f'If it is EPSG:4326: `python -c "{code}" > {shlex.quote(str(path.with_suffix(".prj")))}`.'


def _choose_layer(path: Path, found: list[str], name: str | None, role: Role) -> str:
    names = ", ".join(found) or "none"
    if name is not None and name not in found:
        raise ConfigError(f"the {role.what} {path} has no layer '{name}', only: {names}. Set {role.layer}.")
    if name is None and len(found) != 1:
        raise ConfigError(
            f"the {role.what} {path} has {len(found)} layers: {names}. Name one as {role.layer}."
        )
    return name or found[0]


def read_polygons(layer: VectorLayer, bounds: tuple[float, ...] | None = None) -> NDArray[Any]:
    """Return the polygons of a layer, repaired, or those near `bounds` (low x, low y, high x, high y)."""
    return read_features(layer, bounds).shapes


def read_names(layer: VectorLayer, field: str | None) -> dict[int, str | None]:
    """Return the features of a layer that `open_layer` has checked, by id, each with the text of a field.

    None without a field, or where the feature has no text in it. ConfigError for a field that is not there,
    and where reading takes too much time or memory.
    """
    return bounded(partial(_read_names, layer, field), f"the {layer.role.what} {layer.path}")


def _read_names(layer: VectorLayer, field: str | None) -> dict[int, str | None]:
    pyogrio.set_gdal_config_options(GDAL_OPTIONS)
    known = list(pyogrio.read_info(layer.path, layer=layer.name)["fields"])
    if field is not None and field not in known:
        raise ConfigError(
            f"layer '{layer.name}' of the {layer.role.what} {layer.path} has no field '{field}', only: "
            f"{', '.join(known) or 'none'}. Set {layer.role.field}."
        )
    _, ids, _, fields = pyogrio.raw.read(
        layer.path,
        layer=layer.name,
        columns=[] if field is None else [field],
        read_geometry=False,
        return_fids=True,
    )
    texts = [None] * len(ids) if field is None else [None if v is None else str(v) for v in fields[0]]
    return dict(zip((int(each) for each in ids), texts, strict=True))


class Features(NamedTuple):
    """Polygons of a layer, and the feature that each is of: a feature can have many."""

    shapes: NDArray[Any]
    """Polygons, valid."""
    ids: NDArray[np.int64]
    """Of the feature, as OGR counts."""


def read_features(layer: VectorLayer, bounds: tuple[float, ...] | None = None) -> Features:
    """Return the polygons of a layer, repaired, or those near `bounds`, with their features."""
    pyogrio.set_gdal_config_options(GDAL_OPTIONS)
    try:
        _, ids, encoded, _ = pyogrio.raw.read(
            layer.path, layer=layer.name, columns=[], bbox=bounds, force_2d=True, return_fids=True
        )
        shapes, of = polygons_of(shapely.from_wkb(encoded))
        broken = ~shapely.is_valid(shapes)
        mended, of_mended = polygons_of(
            shapely.make_valid(shapes[broken], method="structure", keep_collapsed=False)
        )
    except (DataLayerError, DataSourceError, shapely.errors.GEOSException) as error:
        raise ConfigError(
            f"cannot read layer '{layer.name}' of the {layer.role.what} {layer.path}: {error}"
        ) from None
    of = np.concatenate([of[~broken], of[broken][of_mended]])
    return Features(np.concatenate([shapes[~broken], mended]), np.asarray(ids[of], np.int64))


def polygons_of(shapes: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the polygons among shapes and in collections of them, and which shape each is of."""
    outer, of_outer = shapely.get_parts(shapes, return_index=True)
    parts, of_part = shapely.get_parts(outer, return_index=True)  # a collection can hold multipolygons
    are = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON
    return np.asarray(parts[are]), np.asarray(of_outer[of_part[are]], np.int64)
