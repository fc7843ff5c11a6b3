"""Statistics: areas of each class and of what has none, by scene, in Parquet and CSV.

maps/<scene_id> -> sums by class and status, a task a scene -> products/statistics/scenes.parquet, scenes.csv
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from labeling.files.atomic import replacing
from labeling.files.raster import check_shape, open_raster, read_codes
from labeling.files.storage import AnyPath
from labeling.grid import blocks
from labeling.maps.grids import MapGrid
from labeling.maps.sums import Sums
from pipelines.engine.scenes import Failure
from pipelines.products.maps import STATUS, MapFile
from pipelines.products.parts import Part
from pipelines.products.product import Work

VERSION: Final = 1
"""Of what this module makes: older parts are made anew."""

BLOCK: Final = 1024
"""Pixels along a block that is counted at a time; a multiple of lattice.TILE."""

SUMS: Final = "sums.parquet"
"""Name of a part's file: a row a zone."""


def make(work: Work) -> list[Failure]:
    """Write the tables of areas; see product.Product."""
    settings = {"version": VERSION, "of": work.config.of}
    parts = [
        Part(
            each.scene_id,
            settings | {"map": each.inputs},
            {"map": each.dumps()},
            each.info.height * each.info.width,
        )
        for each in work.maps
    ]
    failures = work.make_parts(parts, [SUMS], fill)
    failed = {failure.scene for failure in failures}
    good = [(each, part) for each, part in zip(work.maps, parts, strict=True) if each.scene_id not in failed]
    files = ["scenes.parquet", "scenes.csv"]
    inputs = settings | {"maps": {each.scene_id: part.inputs["map"] for each, part in good}}
    if good and not work.is_done(inputs, files):
        table = pa.Table.from_pylist([_row(each, _read(work.part(part))) for each, part in good])
        with work.finishing(inputs, files) as folder:
            write_tables(folder, "scenes", table)
    work.prune(parts)
    return failures


def fill(task: dict[str, Any], folder: AnyPath) -> dict[str, Any]:
    """Count one map, and write its sums as a part."""
    found = MapFile.loads(task["map"])
    sums = count_map(found)
    table = pa.table({"zone": [0], "pixels": [sums.pixels.ravel()], "areas": [sums.areas.ravel()]})
    with replacing(folder / SUMS) as temporary:
        pq.write_table(table, temporary)
    return {}


def count_map(found: MapFile) -> Sums:
    """Return the sums of a whole map; without areas where it has no place on Earth."""
    info, sums = found.info, Sums.empty(1)
    grid = MapGrid.of(info) if info.crs is not None and info.transform is not None else None
    status_file = found.beside(STATUS)
    with (
        open_raster(found.classes) as classes,
        nullcontext() if status_file is None else open_raster(status_file) as status,
    ):
        for raster in filter(None, (classes, status)):
            check_shape(raster, height=info.height, width=info.width)
        for block in blocks(height=info.height, width=info.width, size=BLOCK):
            codes = read_codes(classes, block.window)
            sums.add(
                np.zeros(codes.shape, np.int64),
                codes,
                None if status is None else status.read(1, window=block.window),
                np.zeros(codes.shape, np.int64) if grid is None else grid.areas(block),
            )
    return sums


def _read(folder: AnyPath) -> Sums:
    with (folder / SUMS).open("rb") as file:
        table = pq.read_table(file)
    shape = Sums.empty(table.num_rows).areas.shape
    return Sums(
        *(np.array(table.column(name).to_pylist(), np.int64).reshape(shape) for name in ("pixels", "areas"))
    )


def _row(found: MapFile, sums: Sums) -> dict[str, Any]:
    about = {
        "scene_id": found.scene_id,
        "sensing_time": found.info.sensing_time,
        "rendering": found.rendering,
    }
    placed, explained = bool(sums.areas.any()), found.beside(STATUS) is not None
    return about | sums.record(0, placed=placed, explained=explained)


def write_tables(folder: AnyPath, name: str, table: pa.Table) -> None:
    """Write a table as Parquet and as CSV."""
    with replacing(folder / f"{name}.parquet") as temporary:
        pq.write_table(table, temporary)
    with replacing(folder / f"{name}.csv") as temporary:
        pyarrow.csv.write_csv(table, temporary)
