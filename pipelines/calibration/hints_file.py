"""Hints in a vector file: points and polygons whose class somebody knows, and the pixels they stand for."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyogrio
import pyproj
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError, FieldError

from labeling.classes import IceClass
from labeling.errors import ConfigError
from labeling.files.storage import is_waiting
from labeling.masks.bounded import bounded
from labeling.masks.vector_kinds import GDAL_OPTIONS, check_kind
from labeling.scenes.contract.scene import SceneInfo
from pipelines.calibration.config import HintSettings

COLUMNS: Final = ("class", "ice_class", "ice", "label", "code", "type", "name")
"""Names of columns that are looked at for classes, in this order; capitals do not matter."""

NAMES: Final = {
    "water": IceClass.WATER,
    "open_water": IceClass.WATER,
    "thin": IceClass.THIN_ICE,
    "thin_ice": IceClass.THIN_ICE,
    "thick": IceClass.THICK_ICE,
    "thick_ice": IceClass.THICK_ICE,
    **{str(int(code)): code for code in IceClass},
}
"""Classes by what a hint may call them; spaces and hyphens count as underscores."""

_KINDS: Final = ("Point", "MultiPoint", "Polygon", "MultiPolygon")


class Hint(NamedTuple):
    """A place whose class is known."""

    number: int
    """As it stands in the file, from 1."""
    ice: int
    shape: bytes
    """WKB of a point or polygon, or of several, in the file's CRS."""


class HintFile(NamedTuple):
    """The hints of a file; small, and pickled with the tasks."""

    crs: str
    """Authority and code, or WKT."""
    hints: tuple[Hint, ...]


class Pixels(NamedTuple):
    """The pixels of a scene that a hint stands for, int (n,) each."""

    rows: NDArray[np.int_]
    columns: NDArray[np.int_]


def read_hints(settings: HintSettings) -> HintFile | None:
    """Return the hints; None where no file is named. ConfigError where they cannot be read."""
    path = settings.file
    if path is None:
        return None
    if not path.exists():
        raise ConfigError(f"the hints file {path} does not exist. Check --hints.")
    if is_waiting(str(path)):
        raise ConfigError(f"the hints file {path} is no file, but a pipe or a device. Check --hints.")
    check_kind(path, "hints file")
    return bounded(partial(_read, path, settings), f"the hints file {path}")


def _read(path: Path, settings: HintSettings) -> HintFile:
    pyogrio.set_gdal_config_options(GDAL_OPTIONS)
    try:
        layer = _layer(settings)
        meta, _, shapes, fields = pyogrio.raw.read(path, layer=layer, force_2d=True)
    except (DataLayerError, DataSourceError, FieldError) as error:
        raise ConfigError(f"cannot read the hints file {path}: {error}") from None
    if meta["crs"] is None:
        raise ConfigError(
            f"layer '{layer}' of the hints file {path} does not say which CRS its coordinates are in. "
            "Write it into the file, for example in QGIS with Assign Projection."
        )
    classes = _classes(settings, dict(zip(meta["fields"], fields, strict=True)))
    hints = tuple(Hint(n + 1, classes[n], shape) for n, shape in enumerate(shapes) if shape is not None)
    for hint in hints:
        kind = shapely.from_wkb(hint.shape).geom_type
        if kind not in _KINDS:
            raise ConfigError(f"hint {hint.number} of {path} is a {kind}. Draw hints as points or polygons.")
    if not hints:
        raise ConfigError(f"layer '{layer}' of the hints file {path} has no features. Draw some hints.")
    return HintFile(meta["crs"], hints)


def _layer(settings: HintSettings) -> str:
    found = [str(name) for name in pyogrio.list_layers(settings.file)[:, 0]]
    if settings.layer is None and len(found) == 1:
        return found[0]
    if settings.layer in found:
        return str(settings.layer)
    raise ConfigError(
        f"the hints file {settings.file} has the layers {', '.join(found)}: name one as hints.layer "
        "(--hints-layer)."
    )


def _classes(settings: HintSettings, fields: dict[str, NDArray[Any]]) -> list[int]:
    """Return the class code of each feature, from the column named, or else the one that holds classes."""
    by_name = {field.lower(): field for field in fields}
    names = [by_name[column] for column in COLUMNS if column in by_name]
    if settings.column is not None:
        names = [settings.column] if settings.column in fields else []
    if not names:
        raise ConfigError(
            f"the hints file {settings.file} has no column {settings.column or ' or '.join(COLUMNS)}, only: "
            f"{', '.join(fields) or 'none'}. Name the one with the classes: --hints-column."
        )
    words = [[_word(value) for value in fields[name]] for name in names]
    for column in words:
        if all(word in NAMES for word in column):
            return [int(NAMES[word]) for word in column]
    unknown = sorted({word for word in words[0] if word not in NAMES})
    raise ConfigError(
        f"column '{names[0]}' of the hints file {settings.file} says {', '.join(map(repr, unknown[:5]))}, "
        f"and classes are {', '.join(NAMES)}. Correct it, or name another column: --hints-column."
    )


def _word(value: object) -> str:
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)  # a database's numbers
    return str(value).strip().lower().replace(" ", "_").replace("-", "_")


def pixels_of(hint: Hint, crs: str, info: SceneInfo) -> Pixels | None:
    """Return the pixels of a scene that a hint stands for: those whose centre a polygon holds, or the one
    that a point or a small polygon lies in. None where the hint lies outside, or the scene has no place.
    """
    if info.crs is None or info.affine is None:
        return None
    project = pyproj.Transformer.from_crs(crs, info.crs, always_xy=True).transform
    back = ~info.affine

    def to_pixels(places: NDArray[np.float64]) -> NDArray[np.float64]:
        # A place too many, because pyproj takes an array of a single element for a number.
        x, y = project(*np.append(places, places[:1], axis=0).T)
        return np.asarray(np.stack(_moved(back, x, y), axis=1)[:-1], np.float64)

    shape = shapely.transform(shapely.from_wkb(hint.shape), to_pixels)
    if not np.isfinite(shapely.get_coordinates(shape)).all():
        return None  # beyond what the scene's projection can show
    parts = [_part(part, info) for part in shapely.get_parts(shape)]
    rows, columns = (np.concatenate(axis) for axis in zip(*parts, strict=True))
    return Pixels(rows, columns) if rows.size else None


def _moved(transform: Affine, x: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    t = transform
    return t.a * x + t.b * y + t.c, t.d * x + t.e * y + t.f


def _part(part: shapely.Geometry, info: SceneInfo) -> Pixels:
    """Return the pixels of one point or polygon, in the scene's (column, row)."""
    if part.geom_type == "Polygon":
        left, top, right, bottom = np.floor(part.bounds).astype(int)
        rows, columns = np.mgrid[
            max(0, top) : min(info.height, bottom + 1), max(0, left) : min(info.width, right + 1)
        ]
        inside = shapely.contains_xy(part, columns + 0.5, rows + 0.5)
        if inside.any():
            return Pixels(rows[inside], columns[inside])
        part = part.representative_point()
    row, column = np.floor([part.y]).astype(int), np.floor([part.x]).astype(int)
    kept = (row >= 0) & (row < info.height) & (column >= 0) & (column < info.width)
    return Pixels(row[kept], column[kept])
