"""Where in a scene there is thin cloud or shadow, by how soft the edges of each region are.

Cells form a fixed grid from the scene's upper left corner. A block counts what it holds of each cell it
touches, counts add up over blocks, and a cell is shadowed by the sum over itself and its eight neighbours:
the same for any cut. So cloud over a corner of a large scene is seen, and works on its surroundings alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labeling.grid import Block
from labeling.ice.filter_guard import LEVELS, hold_waiting
from labeling.ice.profile import GuardSettings

NUMBERS: Final = 4 + LEVELS
"""Numbers of a count: the cell's row and column, edges, soft ones, and pixels that wait, by difference."""


class Cell(NamedTuple):
    """A cell's place in the grid."""

    row: int
    column: int


class ShadowCells(NamedTuple):
    """What the whole scene shows of its cells."""

    shadowed: NDArray[np.bool_]
    """(rows, columns) of the grid: whether the edges around are soft."""
    waiting: NDArray[np.int64]
    """(rows, columns, 64): pixels that wait, by difference."""
    soft_edges: float
    """Share of the scene's edges that are soft."""

    @property
    def opened(self) -> NDArray[np.int64]:
        """Pixels that waited and that the filter may lift, int64 (64,), by difference."""
        return np.asarray(self.waiting[self.shadowed].sum(axis=0), np.int64)


def cells_of(block: Block, side: int) -> Iterator[tuple[Cell, tuple[slice, slice]]]:
    """Yield the cells that a block touches, and the rows and columns of the block that lie in each."""
    for row in range(block.row // side, -(-(block.row + block.height) // side)):
        for column in range(block.column // side, -(-(block.column + block.width) // side)):
            pixels = Block(row * side, column * side, side, side)
            yield Cell(row, column), pixels.meet(block).inside(block)


def shadow_cells(counts: NDArray[np.int64], settings: GuardSettings) -> ShadowCells:
    """Decide from the counts, int64 (n, NUMBERS), of blocks that cover a scene; a cell may be in several."""
    rows, columns = counts[:, :2].T
    grid = np.zeros((rows.max(initial=-1) + 1, columns.max(initial=-1) + 1, NUMBERS - 2), np.int64)
    np.add.at(grid, (rows, columns), counts[:, 2:])
    edges, soft = _with_neighbours(grid[..., 0]), _with_neighbours(grid[..., 1])
    shadowed = (edges > 0) & (soft >= settings.soft_share * edges)
    share = grid[..., 1].sum() / max(1, grid[..., 0].sum())
    return ShadowCells(shadowed, grid[..., 2:], float(share))


def _with_neighbours(sums: NDArray[np.int64]) -> NDArray[np.int64]:
    """Add to each number those around it; both int64 (rows, columns)."""
    padded = np.pad(sums, 1)
    tall = padded[:-2] + padded[1:-1] + padded[2:]
    return np.asarray(tall[:, :-2] + tall[:, 1:-1] + tall[:, 2:], np.int64)


def decide(
    key: NDArray[np.uint8], block: Block, shadowed: NDArray[np.bool_], settings: GuardSettings
) -> NDArray[np.uint8]:
    """Return a block's keys, u8 (height, width), in which pixels that wait outside shadow are held."""
    found = key.copy()
    for cell, part in cells_of(block, settings.cell):
        if not shadowed[cell]:
            hold_waiting(found[part])
    return found
