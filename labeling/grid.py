"""Blocks: how a scene is cut for distributed work so that every pixel is covered exactly once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from rasterio.windows import Window


class Block(NamedTuple):
    """A rectangle of a scene in pixels; `row`, `column` name its upper left pixel."""

    row: int
    column: int
    height: int
    width: int

    @property
    def window(self) -> Window:
        """The same rectangle for rasterio."""
        return Window(self.column, self.row, self.width, self.height)

    @property
    def slices(self) -> tuple[slice, slice]:
        """Row and column slices of the block in an array of the scene."""
        return (
            slice(self.row, self.row + self.height),
            slice(self.column, self.column + self.width),
        )

    def grow(self, halo: int, *, height: int, width: int) -> Block:
        """Return the block with `halo` pixels on each side, cut off at the scene's border."""
        top, left = max(0, self.row - halo), max(0, self.column - halo)
        bottom = min(height, self.row + self.height + halo)
        right = min(width, self.column + self.width + halo)
        return Block(top, left, bottom - top, right - left)

    def meet(self, other: Block) -> Block:
        """Return the pixels that both blocks cover; they must overlap."""
        top, left = max(self.row, other.row), max(self.column, other.column)
        bottom = min(self.row + self.height, other.row + other.height)
        right = min(self.column + self.width, other.column + other.width)
        return Block(top, left, bottom - top, right - left)

    def holds(self, other: Block) -> bool:
        """Tell whether the upper left pixel of another block lies in this one."""
        row, column = other.row - self.row, other.column - self.column
        return 0 <= row < self.height and 0 <= column < self.width

    def inside(self, outer: Block) -> tuple[slice, slice]:
        """Return the row and column slices of this block in an array that covers `outer`."""
        return Block(self.row - outer.row, self.column - outer.column, self.height, self.width).slices


def blocks(*, height: int, width: int, size: int, columns: int | None = None) -> Iterator[Block]:
    """Yield blocks of at most `size` rows, row by row, that cover the scene exactly once.

    They have at most `columns` columns, `size` where that is not given.

    >>> [tuple(b) for b in blocks(height=3, width=4, size=2)]
    [(0, 0, 2, 2), (0, 2, 2, 2), (2, 0, 1, 2), (2, 2, 1, 2)]
    """
    columns = columns or size
    for row in range(0, height, size):
        for column in range(0, width, columns):
            yield Block(row, column, min(size, height - row), min(columns, width - column))
