"""Ice edges: lines of equal concentration of each day, and by how much area edges differ.

products/concentration/concentration.nc -> products/edges/edges.gpkg, errors.parquet, errors.csv

Edges of a day are compared with those of the next, and with a reference of the same day if there is one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from labeling.errors import ConfigError
from labeling.files.layout import finished_file
from labeling.files.marks import mark_of
from labeling.files.storage import AnyPath
from labeling.maps.edges import edge_error, edge_lines
from labeling.maps.geopackage import Layer, with_shapes, write_geopackage
from labeling.maps.grids import SQUARE_CM, MapGrid
from pipelines.engine.scenes import Failure
from pipelines.products.grids.fields import Fields, check_same_grid, open_fields
from pipelines.products.product import Work
from pipelines.products.statistics import write_tables

VERSION: Final = 1
"""Of what this module makes: older edges are made anew."""

CONCENTRATION: Final = "concentration.nc"
VARIABLE: Final = "ice_conc"

FILES: Final = ["edges.gpkg", "errors.parquet", "errors.csv"]

_COLUMNS: Final = {
    "compared_with": pa.string(), "day": pa.string(), "other_day": pa.string(), "level": pa.float64(),
    "over_m2": pa.float64(), "under_m2": pa.float64(), "iiee_m2": pa.float64(),
    "extent_error_m2": pa.float64(), "misplacement_m2": pa.float64(), "compared_m2": pa.float64(),
}  # fmt: skip


def make(work: Work) -> list[Failure]:
    """Write edges and their differences; see product.Product."""
    settings = work.config.edges
    file, grid = finished_concentration(work)
    inputs = {
        "version": VERSION,
        "settings": settings.model_dump(mode="json"),
        "concentration": mark_of(file),
        "reference": None if settings.reference is None else _state(settings.reference),
    }
    if work.is_done(inputs, FILES):
        return []
    reference = settings.reference
    with (
        open_fields(file, VARIABLE, grid) as fields,
        nullcontext() if reference is None else open_fields(reference, settings.variable) as other,
    ):
        if other is not None:
            check_same_grid(fields, other)
        slices = [fields.slice_of(day) for day in settings.days] or list(range(len(fields.days)))
        rows = list(_differences(fields, slices, other, settings.levels))
        with work.finishing(inputs, FILES) as folder:
            layer = Layer(
                "edges", _edges(fields, slices, settings.levels), fields.grid.crs, "MultiLineString"
            )
            write_geopackage(folder / FILES[0], [layer])
            columns = {name: pa.array([row[name] for row in rows], kind) for name, kind in _COLUMNS.items()}
            write_tables(folder, "errors", [pa.table(columns)])
    return []


def finished_concentration(work: Work) -> tuple[AnyPath, MapGrid]:
    """Return the finished concentration of the run, and its grid; ConfigError where there is none."""
    folder = work.run.product("concentration")
    done = work.finished("concentration")
    if done is None or CONCENTRATION not in (done.get("outputs") or {}):
        raise ConfigError(
            f"no finished {CONCENTRATION} in {folder}, and edges are lines on it. Make it first: "
            f"python -m jobs.products --run {work.run.root} concentration edges"
        )
    return finished_file(folder, CONCENTRATION), MapGrid.loads(done["inputs"]["grid"])


def _state(path: Path) -> dict[str, Any]:
    try:
        return {"path": str(path.absolute()), **mark_of(path)}
    except OSError as error:
        raise ConfigError(
            f"cannot read the reference {path}: {error.strerror}. Check edges.reference, or leave it out."
        ) from None


def _edges(fields: Fields, slices: list[int], levels: list[float]) -> pa.Table:
    """Return a row a slice and level, with all its lines; none where there is no line."""
    rows: list[dict[str, Any]] = []
    shapes = []
    for index in slices:
        concentration = fields.read(index)
        for level in levels:
            lines = edge_lines(concentration, fields.grid.affine, level)
            if lines:
                rows.append({"day": _text(fields.days[index]), "level": level})
                shapes.append(shapely.MultiLineString(lines))
    table = pa.table(
        {
            "day": pa.array([row["day"] for row in rows], pa.string()),
            "level": pa.array([row["level"] for row in rows], pa.float64()),
        }
    )
    return with_shapes(table, shapes)


def _differences(
    fields: Fields, slices: list[int], other: Fields | None, levels: list[float]
) -> Iterator[dict[str, Any]]:
    """Yield the differences between one slice and the next, and between each and the reference."""
    areas = fields.grid.areas(fields.grid.whole) / SQUARE_CM
    for earlier, later in pairwise(slices):
        days = fields.days[later], fields.days[earlier]
        yield from _compare(fields.read(later), fields.read(earlier), areas, levels, "day before", *days)
    if other is not None:
        for index in slices:
            day, same = fields.days[index], _same_time(fields.days[index], other)
            pair = fields.read(index), other.read(same)
            yield from _compare(*pair, areas, levels, "reference", day, other.days[same])


def _same_time(day: date | None, other: Fields) -> int:
    """Return the slice of a reference for a day of ours; ConfigError where it has none."""
    if len(other.days) == 1 and None in (day, other.days[0]):
        return 0
    if day is None:
        raise ConfigError(
            f"{other.name} has {len(other.days)} times, and the concentration is of all times together. Make "
            "it by days (concentration.period), or give a reference of one time."
        )
    return other.slice_of(day)


def _compare(
    field: NDArray[np.float32],
    reference: NDArray[np.float32],
    areas: NDArray[np.float64],
    levels: list[float],
    compared_with: str,
    day: date | None,
    other_day: date | None,
) -> Iterator[dict[str, Any]]:
    for level in levels:
        error = edge_error(field, reference, areas, level)
        yield {
            "compared_with": compared_with, "day": _text(day), "other_day": _text(other_day), "level": level,
            "over_m2": error.over, "under_m2": error.under, "iiee_m2": error.total,
            "extent_error_m2": error.extent, "misplacement_m2": error.misplaced,
            "compared_m2": error.compared,
        }  # fmt: skip


def _text(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
