"""Scenes in bands for a network: rows from top to bottom, of a picture of whole cells.

Where a scene ends within one of the network's cells, at its bottom and right, pixels are mirrored to fill it.
Beyond that there is nothing: the network sees what it saw around chips when it was trained. Bands are whole
all the same, mirrored at the bottom: some networks are given colours scaled by their band's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from labeling.grid import Block
from labeling.scenes.contract.scene import Pixels, Scene

_MOST: Final = 1024
"""Rows that are read at a time, at most: a row of pieces of a file, so that none is decoded for each band."""


class Sweeper(Protocol):
    """A network that goes over a picture from top to bottom (training/predict.py)."""

    @property
    def margin(self) -> int:
        """Pixels around a part of a picture that decide what is said of it, whole cells."""

    @property
    def rows(self) -> int:
        """Rows of a band."""

    def sweep(
        self, bands: Iterable[NDArray[np.uint8]], *, first: int, height: int, width: int, wanted: range
    ) -> Iterator[NDArray[np.float32]]:
        """Yield what is said, (n, width, classes), of the wanted rows of a picture.

        Its bands, (rows, width, 3), come from row `first` on; the last one may reach beyond the picture.
        """


def swept_width(width: int, columns: int, network: Sweeper, *, cell: int) -> int:
    """Return how wide all strips of a scene are swept: `columns`, and what decides them on inner sides."""
    inner = min(2, -(-width // columns) - 1)
    return _whole(min(width, columns + inner * network.margin), cell)


def sweep(
    scene: Scene, cut: Sequence[Block], network: Sweeper, *, columns: int, cell: int
) -> Iterator[tuple[Pixels, NDArray[np.float32]]]:
    """Yield pixels of blocks that lie one below the other, and what a network says of them.

    Strips have `columns` columns, whole cells, or fewer at the scene's right. What is said of a pixel,
    (height, width, classes), does not depend on the blocks: all that the network sees of it is read, and all
    strips of a scene are swept at one width, also one that has fewer columns or a side at the scene's border.
    For a network is planned for a width, and may add up in another order for another.
    """
    info, rows = scene.info, network.rows
    part = Block(cut[0].row, cut[0].column, sum(block.height for block in cut), cut[0].width)
    wanted = range(part.row, part.row + part.height)
    height, width = _whole(info.height, cell), swept_width(info.width, columns, network, cell=cell)
    left = min(max(0, part.column - network.margin), _whole(info.width, cell) - width)
    first = max(0, part.row - network.margin) // rows * rows
    below = first + _whole(min(height, wanted.stop + network.margin) - first, rows)
    inside = slice(part.column - left, part.column - left + part.width)
    pictures, said = [RowBuffer(first) for _ in Pixels._fields], RowBuffer(part.row)

    def bands() -> Iterator[NDArray[np.uint8]]:
        for pixels in read_bands(scene, Block(first, left, below - first, width), rows=rows):
            for held, values in zip(pictures, pixels, strict=True):
                if values is not None:
                    held.put(np.moveaxis(values[..., inside], -2, 0))  # rows first
            yield np.asarray(cv2.merge([*pixels.rgb]), np.uint8)

    swept = network.sweep(bands(), first=first, height=height, width=width, wanted=wanted)
    for block in cut:
        start, stop = block.row, block.row + block.height
        while not said.holds(stop):
            said.put(next(swept)[:, inside])
        found = (held.take(start, stop) if held.holds(stop) else None for held in pictures)
        pixels = (None if a is None else np.moveaxis(a, 0, -2) for a in found)
        yield Pixels(*pixels), said.take(start, stop)  # type: ignore[arg-type]  # rgb is always there


def read_bands(scene: Scene, part: Block, *, rows: int) -> Iterator[Pixels]:
    """Yield a part of a scene in bands of `rows` rows, the last one maybe lower, from top to bottom.

    Where the part reaches over the scene's bottom or right, its pixels are mirrored, again and again for a
    small scene.
    """
    info = scene.info
    columns = mirrored(np.arange(part.column, part.column + part.width), info.width)
    left, right = int(columns.min()), int(columns.max()) + 1
    step = max(rows, min(_MOST, info.block[0]))

    @lru_cache(maxsize=2)
    def slab(index: int) -> Pixels:
        top = index * step
        return scene.read(Block(top, left, min(step, info.height - top), right - left))

    end = part.row + part.height
    for start in range(part.row, end, rows):
        lines = mirrored(np.arange(start, min(start + rows, end)), info.height)
        # Lines that follow each other in one slab are a part of it; mirrored ones come back one by one.
        ends = np.flatnonzero((np.diff(lines) != 1) | (np.diff(lines // step) != 0)) + 1
        parts = [(slab(int(some[0]) // step), some % step) for some in np.split(lines, ends)]
        yield Pixels(*(_gathered(parts, field, columns - left) for field in range(3)))


def _whole(pixels: int, cell: int) -> int:
    """Return so many pixels or more, a multiple of a cell."""
    return -(-pixels // cell) * cell


def _gathered(parts: list[tuple[Pixels, NDArray[np.int64]]], field: int, columns: NDArray[np.int64]) -> Any:
    """Return lines and columns of a field of what was read, None where the scene does not have it.

    It is a view of what was read where that has them side by side: do not write to it.
    """
    if parts[0][0][field] is None:
        return None
    lines = [np.asarray(pixels[field])[..., some[0] : some[-1] + 1, :] for pixels, some in parts]
    whole = _joined(lines, axis=-2)
    runs = np.split(columns, np.flatnonzero(np.diff(columns) != 1) + 1)
    return _joined([whole[..., some[0] : some[-1] + 1] for some in runs], axis=-1)


def _joined(parts: list[NDArray[Any]], *, axis: int) -> NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis)


def mirrored(places: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """Return places on a line of `limit` pixels that goes on mirrored, edge pixels twice."""
    turned = places % (2 * limit)
    return np.minimum(turned, 2 * limit - 1 - turned)


class RowBuffer:
    """Rows of a picture that come in pieces and are taken in others, from top to bottom."""

    def __init__(self, first: int) -> None:
        self._first = first
        self._held: list[NDArray[Any]] = []

    def put(self, rows: NDArray[Any]) -> None:
        """Add rows, (n, …), below the others."""
        self._held.append(rows)

    def holds(self, stop: int) -> bool:
        """Tell whether all rows above `stop` are there."""
        return self._first + sum(map(len, self._held)) >= stop

    def take(self, start: int, stop: int) -> NDArray[Any]:
        """Return the rows from `start` to before `stop`, and forget them and all above.

        They are a view where they came in one piece.
        """
        found, kept, top = [], [], self._first
        for rows in self._held:
            if top < stop and top + len(rows) > start:
                found.append(rows[max(0, start - top) : stop - top])
            if top + len(rows) > stop:
                kept.append(rows[max(0, stop - top) :])
            top += len(rows)
        self._held, self._first = kept, stop
        return _joined(found, axis=0)
