"""Between the steps of a scene: its layers, kept in memory by one process or in files that all workers see.

A layer is a u8 picture of the scene's size that one step writes block by block and a later one reads in
other rectangles. A note is a set of small arrays that belongs to one block.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from labeling.files.atomic import write_bytes
from labeling.files.storage import AnyPath, read_range
from labeling.grid import Block, blocks

Arrays = dict[str, NDArray[Any]]


class Planes(Protocol):
    """A scene's layers and notes."""

    def put(self, layer: str, block: Block, values: NDArray[np.uint8]) -> None:
        """Keep a layer's values, (height, width), in one of the scene's blocks, once for each."""

    def get(self, layer: str, block: Block) -> NDArray[np.uint8]:
        """Return a layer's values in any rectangle; do not write to them."""

    def note(self, name: str, block: Block, **arrays: NDArray[Any]) -> None:
        """Keep small arrays that belong to a block."""

    def noted(self, name: str, block: Block) -> Arrays:
        """Return them."""


class MemoryPlanes:
    """Layers in memory: for a scene that one task does from beginning to end."""

    def __init__(self, *, height: int, width: int) -> None:
        self._shape = (height, width)
        self._layers: dict[str, NDArray[np.uint8]] = {}
        self._notes: dict[tuple[str, Block], Arrays] = {}

    def put(self, layer: str, block: Block, values: NDArray[np.uint8]) -> None:
        """See Planes."""
        if values.shape == self._shape:
            self._layers[layer] = values
            return
        if layer not in self._layers:  # threads may come here at the same time: the first one's array stays
            self._layers.setdefault(layer, np.zeros(self._shape, np.uint8))
        if values.any():  # memory that was never written to takes no room and no time, and reads as zeros
            self._layers[layer][block.slices] = values

    def get(self, layer: str, block: Block) -> NDArray[np.uint8]:
        """See Planes."""
        return self._layers[layer][block.slices]

    def note(self, name: str, block: Block, **arrays: NDArray[Any]) -> None:
        """See Planes."""
        self._notes[name, block] = arrays

    def noted(self, name: str, block: Block) -> Arrays:
        """See Planes."""
        return self._notes[name, block]


class FilePlanes:
    """Layers in files of a scratch folder or bucket, one a block.

    A file appears whole, so a task that runs again, or twice at a time, does no harm. Of a neighbour's block
    only the rows in question are read.
    """

    def __init__(self, folder: AnyPath, *, height: int, width: int, rows: int, columns: int) -> None:
        self._folder = folder
        self._blocks = {
            (block.row // rows, block.column // columns): block
            for block in blocks(height=height, width=width, size=rows, columns=columns)
        }
        self._rows, self._columns = rows, columns

    def put(self, layer: str, block: Block, values: NDArray[np.uint8]) -> None:
        """See Planes; `block` is one of those that the scene is cut into."""
        write_bytes(self._file(layer, block, ".u8"), np.ascontiguousarray(values).data)

    def get(self, layer: str, block: Block) -> NDArray[np.uint8]:
        """See Planes."""
        found = np.empty((block.height, block.width), np.uint8)
        for row in range(block.row // self._rows, (block.row + block.height - 1) // self._rows + 1):
            first, last = block.column // self._columns, (block.column + block.width - 1) // self._columns
            for column in range(first, last + 1):
                part = self._blocks[row, column]
                shared = part.meet(block)
                rows, columns = shared.inside(part)
                found[shared.inside(block)] = self._read(layer, part, rows)[:, columns]
        return found

    def _read(self, layer: str, part: Block, rows: slice) -> NDArray[np.uint8]:
        count = (rows.stop - rows.start) * part.width
        values = read_range(self._file(layer, part, ".u8"), rows.start * part.width, count)
        return np.frombuffer(values, np.uint8).reshape(-1, part.width)

    def note(self, name: str, block: Block, **arrays: NDArray[Any]) -> None:
        """See Planes."""
        content = BytesIO()
        np.savez(content, **arrays)
        write_bytes(self._file(name, block, ".npz"), content.getbuffer())

    def noted(self, name: str, block: Block) -> Arrays:
        """See Planes."""
        with self._file(name, block, ".npz").open("rb") as file, np.load(file) as arrays:
            return dict(arrays)

    def _file(self, name: str, block: Block, suffix: str) -> AnyPath:
        return self._folder / f"{name}-{block.row}-{block.column}{suffix}"
