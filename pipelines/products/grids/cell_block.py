"""A block of cells on a worker: the maps that reach into it, merged on pixels inside the cells, counted."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from labeling.classes import IGNORE
from labeling.files.atomic import replacing
from labeling.files.storage import AnyPath
from labeling.grid import blocks
from labeling.maps.cover import Extent, reach_of
from labeling.maps.grids import MapGrid
from labeling.maps.merging import Rule
from labeling.maps.sums import KINDS, STATUSES, Sums
from labeling.status import PixelStatus
from pipelines.products.grids.sampling import Source, merge

SUMS: Final = "cells.npz"
"""Name of a part's file: sums of its cells, row by row."""

BLOCK: Final = 1024
"""Pixels along a block that is merged at a time."""


FINER: Final = 8
"""Parts along a cell whose areas add up to its own."""


def fill(task: dict[str, Any], folder: AnyPath) -> dict[str, Any]:
    """Count a block of cells, and write it as a part."""
    cells = MapGrid.loads(task["cells"])
    sources = [(Source.loads(source), Extent(*reach)) for source, reach in task["sources"]]
    sums = count_cells(cells, task["pixels"], sources, task["rule"])
    with replacing(folder / SUMS) as temporary:
        np.savez_compressed(temporary, pixels=sums.pixels, areas=sums.areas)
    return {}


def count_cells(
    cells: MapGrid, pixels: int, sources: list[tuple[Source, Extent]], rule: Rule, size: int = BLOCK
) -> Sums:
    """Return the sums of each cell over the `pixels` a side that it is parted into.

    Sources come in the order of the rule, each with how far it reaches. `size` is that of blocks, and changes
    nothing.
    """
    fine = _parted(cells, pixels)
    sums = Sums.empty(cells.height * cells.width)
    for block in blocks(height=fine.height, width=fine.width, size=size):
        reach = reach_of(fine, block)
        near = [source for source, of in sources if of.meets(reach)]
        if not near:
            continue
        merged = merge(fine, block, near, rule)
        rows = (np.arange(block.row, block.row + block.height) // pixels)[:, None]
        columns = np.arange(block.column, block.column + block.width) // pixels
        absent = (merged.codes == IGNORE) & (merged.status == PixelStatus.NODATA)
        zones = np.where(absent, -1, rows * cells.width + columns)
        sums.add(zones, merged.codes, merged.status, fine.areas(block))
    _add_absent(sums, cells, pixels)
    return sums


def _parted(cells: MapGrid, pixels: int) -> MapGrid:
    """Return a grid with so many pixels along a side of each cell."""
    a, b, c, d, e, f = cells.transform
    transform = (a / pixels, b / pixels, c, d / pixels, e / pixels, f)
    return MapGrid(cells.crs, transform, cells.height * pixels, cells.width * pixels)


def _add_absent(sums: Sums, cells: MapGrid, pixels: int) -> None:
    """Count what is left of each cell as without data: no map reaches there, or has none.

    That needs no look at most of a grid, which is empty. A cell all of whose pixels were counted has no rest.
    """
    finer = _parted(cells, FINER)
    shape = (cells.height, FINER, cells.width, FINER)
    whole = finer.areas(finer.whole).reshape(shape).sum(axis=(1, 3)).ravel()
    counted, area = sums.pixels.sum(axis=(1, 2)), sums.areas.sum(axis=(1, 2))
    place = (slice(None), KINDS - 1, STATUSES.index(PixelStatus.NODATA))
    sums.pixels[place] = pixels**2 - counted
    sums.areas[place] = np.where(counted < pixels**2, np.maximum(whole - area, 0), 0)


def read_cells(folder: AnyPath) -> Sums:
    """Read a part."""
    with (folder / SUMS).open("rb") as file, np.load(file, allow_pickle=False) as found:
        return Sums(found["pixels"], found["areas"])
