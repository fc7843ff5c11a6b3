"""One map counted on a worker: areas and pixels by class and status, of the scene, of polygons, of cells."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rasterio.crs import CRS

from labeling.errors import ConfigError, SceneError
from labeling.files.atomic import replacing
from labeling.files.layout import STATUS
from labeling.files.raster import check_shape, open_raster, read_codes
from labeling.files.storage import AnyPath
from labeling.grid import Block, blocks
from labeling.maps.cover import AUTO, NORTH, SOUTH, covering, extent, is_northern, metric
from labeling.maps.grids import MapGrid
from labeling.maps.placing import cells_of
from labeling.maps.sums import KINDS, STATUSES, Sums
from labeling.masks.layers import Role, VectorLayer
from labeling.masks.polygons import Zones
from pipelines.products.maps import MapFile

SUMS: Final = "sums.parquet"
"""Name of a part's file: a row a zone of any kind, with its sums."""

POLYGONS: Final = Role(
    "polygon file", "polygons", "statistics.polygons", "statistics.layer", "statistics.name"
)

BLOCK: Final = 1024
"""Pixels along a block that is counted at a time."""

MOST_CELLS: Final = 1 << 20
"""Of one scene; a scene of 110 km has 12 100 of 1 km."""


class Counted(NamedTuple):
    """Zones of one kind, and what was counted of them."""

    kind: str
    """scene, polygon or cell."""
    zones: NDArray[np.int64]
    """Ids of polygons; of cells the number of their column and row, packed; 0 for the scene."""
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    """Middles of cells; NaN for other kinds."""
    crs: str
    """Of these; empty for other kinds."""
    sums: Sums


def fill(task: dict[str, Any], folder: AnyPath) -> dict[str, Any]:
    """Count one map, and write its sums as a part; the task has the map, the cells and the polygons."""
    found = MapFile.loads(task["map"])
    polygons = task["polygons"]
    layer = polygons and VectorLayer(Path(polygons["path"]), polygons["name"], polygons["crs"], POLYGONS)
    counted = count_map(found, layer, task["cell_km"], task["crs"])
    with replacing(folder / SUMS) as temporary:
        pq.write_table(pa.concat_tables(_table(each) for each in counted), temporary)
    return {}


def count_map(
    found: MapFile, layer: VectorLayer | None, cell_km: float | None, crs: str = AUTO, size: int = BLOCK
) -> list[Counted]:
    """Return what is counted of a map by scene, polygon of a `layer` and cell of a grid in `crs`.

    Without areas, polygons and cells where it has no place on Earth. `size` is that of blocks, and changes
    nothing.
    """
    info = found.info
    placed = info.crs is not None and info.transform is not None
    grid = MapGrid.of(info) if placed else None
    whole = Sums.empty(1)
    zones = None if grid is None or layer is None else _zones(grid, layer)
    by_zone = Sums.empty(0 if zones is None else len(zones.ids))
    cells = None if grid is None or cell_km is None else _cells(grid, crs, cell_km)
    by_cell = Sums.empty(0 if cells is None else cells.height * cells.width)
    for block, codes, status in _read(found, size):
        areas = np.zeros(codes.shape, np.int64) if grid is None else grid.areas(block)
        whole.add(np.zeros(codes.shape, np.int64), codes, status, areas)
        for index, mask in () if zones is None else zones.masks(block):
            inside = None if status is None else status[mask]
            by_zone.add(np.full(np.count_nonzero(mask), index), codes[mask], inside, areas[mask])
        if grid is not None and cells is not None:
            rows, columns = cells_of(grid, cells, block)
            by_cell.add(np.where(rows < 0, -1, rows * cells.width + columns), codes, status, areas)
    counted = [_counted("scene", np.zeros(1, np.int64), whole)]
    if zones is not None:
        counted.append(_counted("polygon", zones.ids, by_zone))
    if cells is not None:
        counted.append(_counted_cells(cells, by_cell))
    return counted


def _read(found: MapFile, size: int) -> Iterator[tuple[Block, NDArray[np.uint8], NDArray[np.uint8] | None]]:
    """Yield each block of a map with its class codes, and its status where the map has that."""
    info, beside = found.info, found.beside(STATUS)
    with ExitStack() as stack:
        classes = stack.enter_context(open_raster(found.classes))
        status = None if beside is None else stack.enter_context(open_raster(beside))
        for raster in (classes, status):
            if raster is not None:
                check_shape(raster, height=info.height, width=info.width)
        for block in blocks(height=info.height, width=info.width, size=size):
            codes = read_codes(classes, block.window)
            yield block, codes, None if status is None else status.read(1, window=block.window)


def _zones(grid: MapGrid, layer: VectorLayer) -> Zones:
    return Zones(
        layer, crs=CRS.from_wkt(grid.crs), transform=grid.affine, height=grid.height, width=grid.width
    )


def _cells(grid: MapGrid, crs: str, cell_km: float) -> MapGrid:
    """Return the cells that a map touches; SceneError where it has no place in their system."""
    name = (NORTH if is_northern(grid) else SOUTH) if crs == AUTO else crs
    wkt, metres = metric(name, "statistics.crs")
    try:
        return covering(
            [extent(grid, wkt)], wkt, cell_km * 1000 / metres, most=MOST_CELLS, what="the grid of its cells"
        )
    except ConfigError as error:  # of this scene alone; others may be smaller
        raise SceneError(str(error)) from None


def _counted(kind: str, zones: NDArray[np.int64], sums: Sums) -> Counted:
    none = np.full(len(zones), np.nan)
    return Counted(kind, zones, none, none, "", sums)


def _counted_cells(cells: MapGrid, sums: Sums) -> Counted:
    index = np.arange(cells.height * cells.width)
    rows, columns = np.divmod(index, cells.width)
    to = cells.affine
    x, y = to.a * (columns + 0.5) + to.c, to.e * (rows + 0.5) + to.f
    return Counted("cell", index, x, y, cells.crs, sums)


def _table(counted: Counted) -> pa.Table:
    """Return the zones that have any pixel, with their sums as lists."""
    seen = np.flatnonzero(counted.sums.pixels.any(axis=(1, 2)))
    lists, shape = pa.list_(pa.int64()), (len(seen), KINDS * len(STATUSES))
    return pa.table(
        {
            "kind": pa.array([counted.kind] * len(seen), pa.string()),
            "zone": pa.array(counted.zones[seen], pa.int64()),
            "x": counted.x[seen],
            "y": counted.y[seen],
            "crs": pa.array([counted.crs] * len(seen), pa.string()),
            "pixels": pa.array(list(counted.sums.pixels[seen].reshape(shape)), lists),
            "areas": pa.array(list(counted.sums.areas[seen].reshape(shape)), lists),
        }
    )


def read_part(folder: AnyPath, kind: str) -> Counted:
    """Return what a part says of zones of one kind."""
    with (folder / SUMS).open("rb") as file:
        table = pq.read_table(file, filters=[("kind", "=", kind)])
    shape = (table.num_rows, *Sums.empty(0).pixels.shape[1:])
    sums = Sums(*(_flat(table.column(name)).reshape(shape) for name in ("pixels", "areas")))
    zones, x, y = (table.column(name).to_numpy() for name in ("zone", "x", "y"))
    crs = table.column("crs")[0].as_py() if table.num_rows else ""
    return Counted(kind, zones, x, y, crs, sums)


def _flat(column: pa.ChunkedArray) -> NDArray[np.int64]:
    return np.asarray(column.combine_chunks().flatten().to_numpy(zero_copy_only=False), np.int64)
