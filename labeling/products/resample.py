"""From native pixels to the 10 m grid, block by block, with a result that does not depend on the blocks.

Everywhere `block` is in 10 m pixels, `source` in native pixels that are `factor` times as large, and both
count from the product's upper left corner.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labeling.grid import Block


def cover(block: Block, factor: int) -> Block:
    """Return the native pixels, `factor` times as large, that a block of 10 m pixels touches."""
    row, column = block.row // factor, block.column // factor
    bottom, right = block.row + block.height, block.column + block.width
    return Block(row, column, -(-bottom // factor) - row, -(-right // factor) - column)


def nearest(native: NDArray[Any], block: Block, source: Block, factor: int) -> NDArray[Any]:
    """Return for each 10 m pixel of `block` the native pixel it lies in; `native` covers `source`."""
    rows = np.arange(block.row, block.row + block.height) // factor - source.row
    columns = np.arange(block.column, block.column + block.width) // factor - source.column
    return native[..., rows[:, None], columns[None, :]]


def bilinear(native: NDArray[np.float32], block: Block, source: Block, factor: int) -> NDArray[np.float32]:
    """Return (height, width) of `block`, linear between the centres of native pixels in both directions.

    `native` covers `source`, which reaches one native pixel beyond the block wherever the product goes on.
    """
    rows, above, below = _neighbours(block.row, block.height, source.row, source.height, factor)
    columns, left, right = _neighbours(block.column, block.width, source.column, source.width, factor)
    tall = native[above] * (1 - rows)[:, None] + native[below] * rows[:, None]
    return np.asarray(tall[:, left] * (1 - columns) + tall[:, right] * columns, np.float32)


def _neighbours(
    start: int, count: int, source_start: int, source_count: int, factor: int
) -> tuple[NDArray[np.float32], NDArray[np.intp], NDArray[np.intp]]:
    """Return along one axis the share of the later native pixel, and indices of the earlier and later.

    Pixel centres count. Beyond the product's border its outermost pixel goes on.
    """
    position = (np.arange(start, start + count) + 0.5) / factor - 0.5
    earlier = np.floor(position).astype(np.intp)
    share = (position - earlier).astype(np.float32)
    earlier = earlier - source_start
    return share, np.clip(earlier, 0, source_count - 1), np.clip(earlier + 1, 0, source_count - 1)
