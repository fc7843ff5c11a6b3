"""Rasters that are made block by block, and a bounded memory of the blocks that are asked for again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labeling.grid import Block

KEPT_BYTES: Final = 160 << 20
"""Most bytes of blocks that are kept.

Interpolation takes one native pixel of each neighbouring window, so windows read row by row come back to the
blocks of the rows above and below. For a granule in windows of 1024 or 1280 pixels of 10 m that takes up to
21 MB for a 20 m band, 2 MB for a 60 m band, and 139 MB for all of them.
"""


class BlockRaster(NamedTuple):
    """A raster of a product; making any part of a block costs as much as all of it."""

    name: str
    """Tells it from the product's other rasters."""
    layers: int
    dtype: str
    metres: int
    """Side of a pixel."""
    height: int
    width: int
    block_height: int
    block_width: int
    make: Callable[[Block], NDArray[Any]]
    """Make one whole block, (layers, height, width)."""

    def touched(self, part: Block) -> list[Block]:
        """Return the whole blocks that hold any pixel of `part`."""
        top = part.row - part.row % self.block_height
        left = part.column - part.column % self.block_width
        return [
            Block(
                row,
                column,
                min(self.block_height, self.height - row),
                min(self.block_width, self.width - column),
            )
            for row in range(top, part.row + part.height, self.block_height)
            for column in range(left, part.column + part.width, self.block_width)
        ]


class BlockCache:
    """Reads parts of rasters; keeps the blocks used last, up to a number of bytes."""

    def __init__(self, limit: int = KEPT_BYTES) -> None:
        self._limit = limit
        self._kept: OrderedDict[tuple[str, Block], NDArray[Any]] = OrderedDict()
        self._bytes = 0

    @property
    def bytes(self) -> int:
        """How many are kept."""
        return self._bytes

    def read(self, raster: BlockRaster, part: Block) -> NDArray[Any]:
        """Return (layers, height, width) of `part`, a new array.

        Each block that it touches is made at most once. A part that ends where blocks end needs none of them
        again, so none is kept: whoever reads aligned windows pays no memory.
        """
        found = np.empty((raster.layers, part.height, part.width), raster.dtype)
        touched = raster.touched(part)
        aligned = all(block.meet(part) == block for block in touched)
        for block in touched:
            both = block.meet(part)
            pixels = self._block(raster, block, keep=not aligned)
            found[:, *both.inside(part)] = pixels[:, *both.inside(block)]
        return found

    def _block(self, raster: BlockRaster, block: Block, *, keep: bool) -> NDArray[Any]:
        key = raster.name, block
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        pixels = raster.make(block)
        if keep:
            self._kept[key] = pixels
            self._bytes += pixels.nbytes
            while self._bytes > self._limit:
                _, dropped = self._kept.popitem(last=False)
                self._bytes -= dropped.nbytes
        return pixels
