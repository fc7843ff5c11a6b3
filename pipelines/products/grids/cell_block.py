"""A block of cells on a worker: the maps that reach into it, merged on pixels inside the cells, counted."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from labeling.files.atomic import replacing
from labeling.files.storage import AnyPath
from labeling.grid import blocks
from labeling.maps.cover import Extent, reach_of
from labeling.maps.grids import MapGrid
from labeling.maps.merging import Rule
from labeling.maps.sums import Sums
from pipelines.products.grids.sampling import Source, merge

SUMS: Final = "cells.npz"
"""Name of a part's file: sums of its cells, row by row."""

BLOCK: Final = 1024
"""Pixels along a block that is merged at a time."""


def fill(task: dict[str, Any], folder: AnyPath) -> dict[str, Any]:
    """Count a block of cells, and write it as a part."""
    crs, transform, height, width = task["cells"]
    cells = MapGrid(crs, tuple(transform), height, width)
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
    a, b, c, d, e, f = cells.transform
    fine = MapGrid(
        cells.crs,
        (a / pixels, b / pixels, c, d / pixels, e / pixels, f),
        cells.height * pixels,
        cells.width * pixels,
    )
    sums = Sums.empty(cells.height * cells.width)
    for block in blocks(height=fine.height, width=fine.width, size=size):
        reach = reach_of(fine, block)
        near = [source for source, of in sources if of.meets(reach)]
        merged = merge(fine, block, near, rule)
        rows = (np.arange(block.row, block.row + block.height) // pixels)[:, None]
        columns = np.arange(block.column, block.column + block.width) // pixels
        sums.add(rows * cells.width + columns, merged.codes, merged.status, fine.areas(block))
    return sums


def read_cells(folder: AnyPath) -> Sums:
    """Read a part."""
    with (folder / SUMS).open("rb") as file, np.load(file, allow_pickle=False) as found:
        return Sums(found["pixels"], found["areas"])
