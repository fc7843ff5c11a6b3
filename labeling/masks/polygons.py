"""Land and ice shelf: which pixels of a scene lie inside the polygons of a vector file.

Polygons are never projected onto the scene: that would tear them at the antimeridian and at the poles. The
scene's pixels go the other way, into the coordinates of the file, where all of Earth has a place and an edge
is the straight line that its author drew. Tiles of the scene clear of every edge are settled at once, others
are cut smaller, and only pixels along the coast are tested one by one.
"""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
import pyogrio
import pyproj
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError
from rasterio.crs import CRS

from labeling.errors import ConfigError, SceneError
from labeling.files.storage import is_waiting
from labeling.masks.bounded import bounded
from labeling.masks.vector_kinds import GDAL_OPTIONS, check_kind

SIDES: Final = (1024, 128, 16)
"""Pixels along a tile at each round; each is a multiple of the next."""

CHUNK: Final = 1024
"""How many of the smallest tiles have their pixels tested at a time, which bounds the memory."""


class VectorLayer(NamedTuple):
    """A layer of polygons that `open_layer` has checked."""

    path: Path
    name: str
    crs: str
    """Authority and code, or WKT."""


def land_mask(
    layer: VectorLayer, *, crs: CRS, transform: Affine, height: int, width: int, grow: int = 0
) -> NDArray[np.bool_]:
    """Return which pixels of a scene have their centre on land or ice shelf, bool (height, width).

    `crs` and `transform` (column, row to coordinates) are the scene's; land grows by `grow` pixels on every
    side. All False where no polygon is near. Raises SceneError where the scene's CRS has no place on Earth,
    and ConfigError where the two CRS cannot be related.
    """
    margin = grow  # land just outside the scene grows into it
    mask = np.zeros((height + 2 * margin, width + 2 * margin), np.bool_)
    grid = _Grid(layer, crs, transform @ Affine.translation(-margin, -margin))
    corner = np.zeros(1, int)
    box = grid.boxes(corner, corner, mask.shape, lattice=33)[0]
    land = bounded(
        partial(_read_land, layer, box, grid.turns), f"layer '{layer.name}' of the land file {layer.path}"
    )
    _fill(mask, land, grid)
    if margin:
        square = np.ones((2 * margin + 1, 2 * margin + 1), np.uint8)
        cv2.dilate(mask.view(np.uint8), square, dst=mask.view(np.uint8))
    return mask[margin : margin + height, margin : margin + width]


def open_layer(path: Path, name: str | None = None) -> VectorLayer:
    """Check a vector file and return its layer `name`, or its only one. A job calls it early, to fail early.

    Raises ConfigError where the file is missing or of no kind that is read (vector_kinds.py), the layer is
    not there or must be named, it has no polygons, it does not say its CRS, or looking for all that takes too
    much time or memory.
    """
    if not path.exists():
        raise ConfigError(f"the land file {path} does not exist. Check land.vector.")
    if is_waiting(str(path)):
        raise ConfigError(f"the land file {path} is no file, but a pipe or a device. Check land.vector.")
    check_kind(path)
    return bounded(partial(_check_layer, path, name), f"the land file {path}")


def _check_layer(path: Path, name: str | None) -> VectorLayer:
    pyogrio.set_gdal_config_options(GDAL_OPTIONS)
    try:
        chosen = _choose_layer(path, pyogrio.list_layers(path)[:, 0].tolist(), name)
        info = pyogrio.read_info(path, layer=chosen)
    except (DataLayerError, DataSourceError) as error:
        raise ConfigError(f"cannot read the land file {path}: {error}") from None
    kind, count = str(info["geometry_type"]), info["features"]
    # Of a layer of several kinds OGR only says that it is mixed, so look.
    if count == 0 or ("Polygon" not in kind and not len(_read_polygons(path, chosen))):
        raise ConfigError(
            f"layer '{chosen}' of {path} has no polygons ({count} features of kind {kind}). "
            "Draw land as areas, not as coastlines or points."
        )
    if info["crs"] is None:
        raise ConfigError(
            f"layer '{chosen}' of {path} does not say which CRS its coordinates are in. {_naming_crs(path)}"
        )
    return VectorLayer(path, chosen, info["crs"])


def _naming_crs(path: Path) -> str:
    """Return how to say which CRS a file is in."""
    if path.suffix.lower() != ".shp":
        return "Write it into the file, for example in QGIS with Assign Projection."
    code = "import pyproj; print(pyproj.CRS(4326).to_wkt('WKT1_ESRI'))"
    return f'If it is EPSG:4326: `python -c "{code}" > {shlex.quote(str(path.with_suffix(".prj")))}`.'


def _unrelated(layer: VectorLayer, crs: CRS, error: Exception) -> SceneError | ConfigError:
    """Return which of two coordinate systems has no place on Earth: the scene's, or else the file's."""
    own = pyproj.CRS.from_user_input(crs.to_wkt())
    try:
        pyproj.Transformer.from_crs(own, "EPSG:4326", always_xy=True)
    except pyproj.exceptions.ProjError:
        return SceneError(
            f"the scene's coordinate system ({own.name}) has no place on Earth, so land cannot be found in "
            "it. State the true one, as in `rio edit-info --crs EPSG:32758 FILE`, or leave land.vector out."
        )
    return ConfigError(
        f"the CRS of {layer.path} has no known relation to the scene's: {error}. Save the file in longitude "
        "and latitude (EPSG:4326), for example in QGIS with Reproject Layer."
    )


class _Grid:
    """Places of a scene in the coordinates of a layer."""

    def __init__(self, layer: VectorLayer, crs: CRS, transform: Affine) -> None:
        try:
            file_crs = pyproj.CRS.from_user_input(layer.crs)
            self._project = pyproj.Transformer.from_crs(crs.to_wkt(), file_crs, always_xy=True).transform
        except pyproj.exceptions.ProjError as error:
            raise _unrelated(layer, crs, error) from None
        self._transform, self._geographic = transform, file_crs.is_geographic
        # What may have to be added to x, which is within -180..180 degrees, to find a place in the file.
        self.turns = (-360.0, 0.0, 360.0) if self._geographic else (0.0,)

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


def _fill(mask: NDArray[np.bool_], land: shapely.Geometry, grid: _Grid) -> None:
    """Set the pixels of `mask` whose centres are on land."""
    shapely.prepare(land)
    rows, columns, whole = np.zeros(1, int), np.zeros(1, int), max(mask.shape)
    for side in SIDES:
        rows, columns = _cut(rows, columns, whole, side, mask.shape)
        boxes = grid.boxes(rows, columns, (side, side))
        inside = shapely.contains_properly(land, boxes)
        for row, column in zip(rows[inside], columns[inside], strict=True):
            mask[row : row + side, column : column + side] = True
        coast = ~inside & shapely.intersects(land, boxes)
        rows, columns, whole = rows[coast], columns[coast], side
    for start in range(0, len(rows), CHUNK):
        chunk = slice(start, start + CHUNK)
        pixels = _cut(rows[chunk], columns[chunk], whole, 1, mask.shape)
        # A border counts as land, because files cut their polygons there.
        mask[pixels] = shapely.intersects_xy(land, *grid.place(pixels[0] + 0.5, pixels[1] + 0.5))


def _cut(
    rows: NDArray[np.int_], columns: NDArray[np.int_], side: int, smaller: int, shape: tuple[int, ...]
) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """Return the first pixels of square tiles once they are cut smaller, without those outside `shape`."""
    down, right = np.mgrid[0:side:smaller, 0:side:smaller].reshape(2, -1)
    rows, columns = (rows[:, None] + down).ravel(), (columns[:, None] + right).ravel()
    within = (rows < shape[0]) & (columns < shape[1])
    return rows[within], columns[within]


def _choose_layer(path: Path, found: list[str], name: str | None) -> str:
    names = ", ".join(found) or "none"
    if name is not None and name not in found:
        raise ConfigError(f"the land file {path} has no layer '{name}', only: {names}. Set land.layer.")
    if name is None and len(found) != 1:
        raise ConfigError(f"the land file {path} has {len(found)} layers: {names}. Name one as land.layer.")
    return name or found[0]


def _read_polygons(path: Path, name: str, bounds: tuple[float, ...] | None = None) -> NDArray[Any]:
    """Return the polygons of a layer, repaired, or those near `bounds` (low x, low y, high x, high y)."""
    try:
        _, _, encoded, _ = pyogrio.raw.read(path, layer=name, columns=[], bbox=bounds, force_2d=True)
        polygons = _polygons_of(shapely.from_wkb(encoded))
        broken = ~shapely.is_valid(polygons)
        mended = shapely.make_valid(polygons[broken], method="structure", keep_collapsed=False)
    except (DataLayerError, DataSourceError, shapely.errors.GEOSException) as error:
        raise ConfigError(f"cannot read layer '{name}' of the land file {path}: {error}") from None
    return np.concatenate([polygons[~broken], _polygons_of(mended)])


def _polygons_of(shapes: NDArray[Any]) -> NDArray[Any]:
    """Return the polygons among shapes and in collections of them."""
    parts = shapely.get_parts(shapely.get_parts(shapes))  # a collection can hold multipolygons
    return np.asarray(parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON])


def _read_land(layer: VectorLayer, box: shapely.Geometry, turns: tuple[float, ...]) -> shapely.Geometry:
    """Return all land in a box as one shape; it may be drawn any of the `turns` away."""
    pyogrio.set_gdal_config_options(GDAL_OPTIONS)
    pieces = []
    for turn in turns:
        bounds = tuple(np.add(box.bounds, (turn, 0.0, turn, 0.0)))
        polygons = _read_polygons(layer.path, layer.name, bounds)
        here = shapely.transform(polygons, lambda places, turn=turn: places - (turn, 0.0))
        pieces.append(_polygons_of(shapely.intersection(here, box)))
    return shapely.union_all(np.concatenate(pieces))
