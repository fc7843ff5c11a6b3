"""Cells: bands of any resolution averaged over squares of whole 10 m pixels, block by block, and exactly.

map     block of native pixels -> cell_sums -> a small window of sums
reduce  windows -> merge -> mean

Sums are whole numbers, so neither the cut into blocks nor the order of adding can change a bit of the mean.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from labeling.grid import Block
from labeling.scenes.contract.resample import cover, nearest

ONE: Final = 1 << 20
"""How reflectance 1 is counted: finer than the step of a DN by a factor of 100."""

BRIGHTEST: Final = np.float32(2)
"""Reflectances beyond count as this: a saturated pixel's is only a bound, and would outweigh its cell."""


@dataclass(frozen=True)
class CellGrid:
    """How a scene is cut into cells, from its upper left corner; the last row and column may be cut off."""

    height: int
    """Rows of the scene, 10 m pixels."""
    width: int
    side: int
    """10 m pixels along a cell."""

    def __post_init__(self) -> None:
        if min(self.height, self.width, self.side) < 1:
            raise ValueError(f"{self}: sides are at least 1")

    @property
    def rows(self) -> int:
        """Rows of cells."""
        return -(-self.height // self.side)

    @property
    def columns(self) -> int:
        """Columns of cells."""
        return -(-self.width // self.side)

    @property
    def whole(self) -> Block:
        """All cells."""
        return Block(0, 0, self.rows, self.columns)

    def transform(self, pixels: Affine) -> Affine:
        """Return the transform of the cells, from that of the 10 m pixels."""
        return pixels @ Affine.scale(self.side)

    def pixels(self, cells: NDArray[Any], block: Block) -> NDArray[Any]:
        """Return for each 10 m pixel of `block` the cell it lies in, (height, width) of `block`.

        `cells` is (rows, columns) of the grid.
        """
        return nearest(cells, block, self.whole, self.side)


class CellSums(NamedTuple):
    """Sums over the cells of a window; `row` and `column` name its upper left cell."""

    row: int
    column: int
    total: NDArray[np.int64]
    """(rows, columns): sum of values x ONE x overlap, in square 10 m pixels."""
    area: NDArray[np.int64]
    """(rows, columns): square 10 m pixels that were valid."""


def cell_sums(
    values: NDArray[Any], valid: NDArray[np.bool_], block: Block, step: int, grid: CellGrid
) -> CellSums:
    """Add a band's native pixels to the cells they overlap, by the area of the overlap.

    `values` is (height, width) of `block`: reflectance float32, or anything up to 2 such as True and False;
    only `valid` ones count. `block` is in native pixels, which are `step` 10 m pixels a side: 1, 2, 6. What
    lies beyond the scene does not count. Returns the window of cells that the block touches.
    """
    if values.shape != valid.shape or values.shape != (block.height, block.width):
        raise ValueError(f"values {values.shape} and valid {valid.shape} must both have the shape of {block}")
    pixels = Block(*(step * side for side in block)).meet(Block(0, 0, grid.height, grid.width))
    window = cover(pixels, grid.side)
    usable = np.where(valid, np.minimum(values, BRIGHTEST), np.float32(0))
    counted = np.rint(usable * np.float32(ONE)).astype(np.int32)
    total, area = (_add_up(layer, block, step, window, grid) for layer in (counted, valid))
    return CellSums(window.row, window.column, total, area)


def merge(windows: Iterable[CellSums], grid: CellGrid) -> CellSums:
    """Add windows up to sums over the whole grid; cells without a window are 0."""
    total, area = np.zeros((2, grid.rows, grid.columns), np.int64)
    for window in windows:
        cells = Block(int(window.row), int(window.column), *window.total.shape).slices
        total[cells] += window.total
        area[cells] += window.area
    return CellSums(0, 0, total, area)


def mean(sums: CellSums) -> NDArray[np.float32]:
    """Return the mean of the valid values in each cell, float32 (rows, columns); NaN where there are none."""
    means = np.full(sums.total.shape, np.nan)
    np.divide(sums.total, sums.area * ONE, out=means, where=sums.area > 0)
    return means.astype(np.float32)


def _add_up(layer: NDArray[Any], block: Block, step: int, window: Block, grid: CellGrid) -> NDArray[np.int64]:
    rows = range(window.row, window.row + window.height)
    columns = range(window.column, window.column + window.width)
    tall = _add_rows(layer, block.row, step, rows, grid.side, grid.height)
    return _add_rows(tall.T, block.column, step, columns, grid.side, grid.width).T


def _add_rows(
    layer: NDArray[Any], start: int, step: int, cells: range, side: int, end: int
) -> NDArray[np.int64]:
    """Return for each of the cells the sum of the rows of `layer`, each times the length of their overlap.

    The first row is native row `start`; the scene ends at 10 m row `end`.
    """
    edges = np.minimum(np.arange(start, start + len(layer) + 1) * step, end)
    sums = np.empty((len(cells), layer.shape[1]), np.int64)
    for index, cell in enumerate(cells):
        low, high = cell * side, (cell + 1) * side
        first, last = max(low // step - start, 0), -(-high // step) - start
        overlaps = np.diff(edges[first : last + 1].clip(low, high))
        np.matmul(overlaps, layer[first:last], out=sums[index])
    return sums
