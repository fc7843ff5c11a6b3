"""Smooth fields over the pixels of a grid, from few exact values.

Where a pixel lies in another projection, and how large it is, changes little from one pixel to the next, and
asking PROJ for each takes longer than all the rest. So it is asked at the corners of tiles, and between them
is interpolated, unless that would be off by more than is allowed: then PROJ is asked for each pixel of the
tile. Tiles lie on the grid, so values do not depend on how it is cut into blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from labeling.grid import Block

TILE: Final = 32
"""Pixels along a tile."""

Field = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
"""Values (k, n) at rows (n,) and columns (n,) that count from the grid's corner: (0.5, 0.5) is the centre of
the first pixel. NaN where there are none."""


def smooth(exact: Field, block: Block, tolerance: float) -> NDArray[np.float64]:
    """Return a field at the centres of a block's pixels, f64 (k, height, width), within `tolerance`."""
    top, left = block.row // TILE, block.column // TILE
    down = np.arange(top, -(-(block.row + block.height) // TILE) + 1.0) * TILE
    right = np.arange(left, -(-(block.column + block.width) // TILE) + 1.0) * TILE
    nodes = _mesh(exact, down, right)
    inside = block.inside(Block(top * TILE, left * TILE, 0, 0))
    found = np.ascontiguousarray(_between(nodes)[:, *inside])
    rough = ~(_error(exact, nodes, down, right) <= tolerance)  # True for NaN
    rough = rough.repeat(TILE, axis=0).repeat(TILE, axis=1)[inside]
    if rough.any():
        rows, columns = np.nonzero(rough)
        found[:, rough] = exact(rows + (block.row + 0.5), columns + (block.column + 0.5))
    return found


def _mesh(exact: Field, down: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a field (k, r, c) where r rows and c columns cross."""
    rows, columns = np.meshgrid(down, right, indexing="ij")
    return exact(rows.ravel(), columns.ravel()).reshape(-1, down.size, right.size)


def _error(
    exact: Field, nodes: NDArray[np.float64], down: NDArray[np.float64], right: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how far off a tile's values can be, (rows of tiles, columns of tiles).

    Conformal projections are harmonic: what a tile's middle is off along its rows, it is off the other way
    along its columns. So the sides are looked at, and their errors added.
    """
    across = _mesh(exact, down, right[:-1] + TILE / 2)
    along = _mesh(exact, down[:-1] + TILE / 2, right)
    off_across = np.abs(across - (nodes[..., :-1] + nodes[..., 1:]) / 2)
    off_along = np.abs(along - (nodes[:, :-1] + nodes[:, 1:]) / 2)
    off = np.maximum(off_across[:, :-1], off_across[:, 1:]) + np.maximum(
        off_along[..., :-1], off_along[..., 1:]
    )
    return np.asarray(off.max(axis=0))


def _between(nodes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a field at the centres of the pixels of all tiles, from their corners (k, r, c)."""
    share = (np.arange(TILE) + 0.5) / TILE
    count, rows, columns = nodes.shape
    upper, lower = nodes[:, :-1, None, :], nodes[:, 1:, None, :]
    down = (upper * (1 - share)[:, None] + lower * share[:, None]).reshape(count, -1, columns)
    first, second = down[:, :, :-1, None], down[:, :, 1:, None]
    return np.asarray((first * (1 - share) + second * share).reshape(count, (rows - 1) * TILE, -1))
