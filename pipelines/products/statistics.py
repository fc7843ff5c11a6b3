"""Statistics: areas of each class and of what has none, by scene, by polygon and by cell, as tables.

maps/<scene_id> -> sums by class and status, a task a scene -> products/statistics/*.parquet, *.csv
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pyproj

from labeling.errors import ConfigError, SceneError
from labeling.files.atomic import replacing
from labeling.files.layout import STATUS
from labeling.files.storage import AnyPath
from labeling.maps.cover import AUTO, metric, to_degrees
from labeling.maps.grids import MapGrid
from labeling.masks.land import vector_state
from labeling.masks.layers import VectorLayer, open_layer, read_names
from pipelines.engine.scenes import Failure
from pipelines.products.maps import MapFile
from pipelines.products.parts import Part
from pipelines.products.product import Work
from pipelines.products.statistics_worker import POLYGONS, SUMS, Counted, fill, read_part

VERSION: Final = 1
"""Of what this module makes: older tables are made anew."""

KINDS: Final = {"scenes": "scene", "polygons": "polygon", "cells": "cell"}
"""Zones by the name of their table."""

_log = logging.getLogger("polynya.products")


def make(work: Work) -> list[Failure]:
    """Write the tables of areas; see product.Product."""
    settings = work.config.statistics
    layer = None if settings.polygons is None else open_layer(settings.polygons, settings.layer, POLYGONS)
    names = {} if layer is None else read_names(layer, settings.name)
    if settings.crs != AUTO:
        metric(settings.crs, "statistics.crs")
    parts = plan(work, layer)
    failures = work.make_parts(parts, [SUMS], fill)
    failed = {failure.scene for failure in failures}
    nowhere = [] if layer is None else _without_place(work.maps, failed)
    parts = [part for part in parts if part.name not in failed]
    good = [(each, work.part(part)) for each, part in zip(_without(work.maps, failed), parts, strict=True)]
    work.prune(parts)
    tables = [name for name in KINDS if _is_asked(name, work)]
    files = [f"{name}.{ending}" for name in tables for ending in ("parquet", "csv")]
    inputs = {"parts": {part.name: part.inputs for part in parts}, "name": settings.name}
    if not good or work.is_done(inputs, files):
        return failures + nowhere
    outside = _outside(good, names, layer)
    with work.finishing(inputs, files, polygons_outside=outside) as folder:
        for name in tables:
            pieces = (_rows(each, read_part(part, KINDS[name]), names) for each, part in good)
            write_tables(folder, name, pieces)
    return failures + nowhere


def _without_place(maps: list[MapFile], failed: set[str]) -> list[Failure]:
    """Return the maps that polygons were asked of and that have no place on Earth."""
    found = []
    for each in _without(maps, failed):
        try:
            MapGrid.of(each.info)
        except SceneError as problem:
            found.append(Failure(each.scene_id, "statistics", f"it is in no polygon: {problem}"))
    return found


def _without(maps: list[MapFile], failed: set[str]) -> list[MapFile]:
    return [each for each in maps if each.scene_id not in failed]


def plan(work: Work, layer: VectorLayer | None) -> list[Part]:
    """Return a part for each map: what decides its sums, and what its worker is told."""
    settings = work.config.statistics
    told: dict[str, Any] = {"cell_km": settings.cell_km, "crs": settings.crs, "polygons": None}
    deciding = told | {"version": VERSION}
    if layer is not None:
        path = layer.path.absolute()
        deciding["polygons"] = {"layer": layer.name, "files": vector_state(path)}
        told["polygons"] = {"path": str(path), "name": layer.name, "crs": layer.crs}
    return [
        Part(
            each.scene_id,
            deciding | {"map": each.inputs},
            told | {"map": each.dumps()},
            each.info.height * each.info.width,
        )
        for each in work.maps
    ]


def _is_asked(table: str, work: Work) -> bool:
    settings = work.config.statistics
    return {"polygons": settings.polygons is not None, "cells": settings.cell_km is not None}.get(table, True)


def _outside(
    good: list[tuple[MapFile, AnyPath]], names: dict[int, str | None], layer: VectorLayer | None
) -> list[int]:
    """Return the polygons that no map has a pixel in; ConfigError when that is all of them."""
    if layer is None:
        return []
    inside = {int(zone) for _, part in good for zone in read_part(part, "polygon").zones}
    outside = sorted(names.keys() - inside)
    if not inside:
        raise ConfigError(
            f"none of the {len(names)} polygon(s) in layer '{layer.name}' of {layer.path} holds a pixel of "
            f"any of {len(good)} map(s). Check that the file says the coordinate system it is in, which is "
            f"{pyproj.CRS(layer.crs).name} now, or give other polygons."
        )
    if outside:
        _log.warning(
            "%d of %d polygons hold no pixel of any map: %s", len(outside), len(names), _short(outside)
        )
    return outside


def _short(ids: list[int]) -> str:
    return ", ".join(map(str, ids[:10])) + (", …" if len(ids) > 10 else "")


def _rows(found: MapFile, counted: Counted, names: dict[int, str | None]) -> pa.Table:
    """Return the rows of one map in the table of one kind of zones."""
    count = len(counted.zones)
    columns: dict[str, Any] = {
        "scene_id": pa.array([found.scene_id] * count, pa.string()),
        "sensing_time": pa.array([found.info.sensing_time] * count, pa.string()),
        "rendering": pa.array([found.rendering] * count, pa.string()),
    }
    if counted.kind == "polygon":
        columns["polygon"] = counted.zones
        columns["name"] = pa.array([names.get(int(zone)) for zone in counted.zones], pa.string())
    if counted.kind == "cell":
        columns |= _where(counted)
    placed, explained = bool(counted.sums.areas.any()), found.beside(STATUS) is not None
    for name, values in counted.sums.columns(placed=placed, explained=explained).items():
        columns[name] = pa.nulls(count, pa.float64()) if values is None else values
    return pa.table(columns)


def _where(counted: Counted) -> dict[str, Any]:
    """Return where cells lie: their system, and their middles in it and on Earth."""
    name, longitude, latitude = "", np.zeros(0), np.zeros(0)
    if len(counted.zones):
        crs = pyproj.CRS.from_wkt(counted.crs)
        name = crs.to_string() if crs.to_epsg() is None else f"EPSG:{crs.to_epsg()}"
        longitude, latitude = to_degrees(counted.crs, counted.x, counted.y)
    return {
        "crs": pa.array([name] * len(counted.zones), pa.string()),
        "x": counted.x,
        "y": counted.y,
        "longitude": longitude,
        "latitude": latitude,
    }


def write_tables(folder: AnyPath, name: str, pieces: Iterable[pa.Table]) -> None:
    """Write a table that comes in pieces as Parquet and as CSV; one piece at a time is in memory."""
    with (
        replacing(folder / f"{name}.parquet") as parquet,
        replacing(folder / f"{name}.csv") as text,
        ExitStack() as stack,
    ):
        writers: list[Any] = []
        for piece in pieces:
            if not writers:
                writers = [
                    stack.enter_context(pq.ParquetWriter(parquet, piece.schema)),
                    stack.enter_context(pyarrow.csv.CSVWriter(text, piece.schema)),
                ]
            for writer in writers:
                writer.write_table(piece)
