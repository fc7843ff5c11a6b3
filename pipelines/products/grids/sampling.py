"""Maps brought together on a block of one grid: its pixels take the map's pixel that their centre is in."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader
from rasterio.windows import Window

from labeling.classes import CLASS_CODES, IGNORE
from labeling.files.raster import check_shape, open_raster, read_codes
from labeling.files.storage import at
from labeling.grid import Block
from labeling.maps.grids import MapGrid
from labeling.maps.merging import Layer, Merged, Merger, Rule
from labeling.maps.placing import Cells, cells_of
from labeling.results.layers import UNSAID
from labeling.status import PixelStatus

MOST_READ: Final = 1 << 24
"""Pixels of a map that are read at a time: where its own are much smaller than those of the grid."""


Read = Callable[[DatasetReader, Window], NDArray[np.uint8]]
"""Reads a window of a raster, u8 (height, width)."""


class Source(NamedTuple):
    """A map on its way into others; JSON."""

    classes: str
    status: str | None
    certainty: str | None
    """Its probabilities, where the rule asks for them."""
    grid: MapGrid

    @classmethod
    def loads(cls, values: list[Any]) -> Self:
        """Read one from JSON."""
        classes, status, certainty, grid = values
        return cls(classes, status, certainty, MapGrid.loads(grid))


def merge(grid: MapGrid, block: Block, sources: list[Source], rule: Rule) -> Merged:
    """Return what sources, in the order of the rule, say of a block of a grid; they count from 1."""
    merger = Merger(rule, (block.height, block.width))
    for number, source in enumerate(sources, 1):
        cells = cells_of(grid, source.grid, block)
        inside = cells.rows >= 0
        if inside.any():
            merger.add(_layer(number, source, cells, inside))
        if merger.is_full:
            break
    return merger.result()


def _layer(number: int, source: Source, cells: Cells, inside: NDArray[np.bool_]) -> Layer:
    with ExitStack() as stack:

        def sampled(path: str | None, outside: int, read: Read) -> NDArray[np.uint8] | None:
            if path is None:
                return None
            raster = stack.enter_context(open_raster(at(path)))
            check_shape(raster, height=source.grid.height, width=source.grid.width)
            found = np.full(inside.shape, outside, np.uint8)
            sample(raster, cells, inside, read, found)
            return found

        codes = sampled(source.classes, IGNORE, read_codes)
        status = sampled(source.status, PixelStatus.NODATA, _band(1))
        by_class = [sampled(source.certainty, UNSAID, _band(1 + code)) for code in CLASS_CODES]
    if codes is None:
        raise ValueError("a source without classes")
    return Layer(number, inside, codes, status, _certainty(codes, by_class))


def _certainty(
    codes: NDArray[np.uint8], by_class: list[NDArray[np.uint8] | None]
) -> NDArray[np.uint8] | None:
    """Return how sure a network was of the map's own class, from 1; 0 where it was not asked."""
    levels = [each for each in by_class if each is not None]
    if not levels:
        return None
    chosen = np.take_along_axis(np.stack([*levels, levels[0]]), np.minimum(codes, len(levels))[None], 0)[0]
    return np.where(chosen == UNSAID, 0, chosen + 1).astype(np.uint8)


def sample(
    raster: DatasetReader, cells: Cells, inside: NDArray[np.bool_], read: Read, found: NDArray[np.uint8]
) -> None:
    """Put the pixels of a raster that lie at cells into `found` where `inside`; all (height, width)."""
    if not inside.any():
        return
    top, bottom = (int(bound(cells.rows[inside])) for bound in (np.min, np.max))
    left, right = (int(bound(cells.columns[inside])) for bound in (np.min, np.max))
    height, width = bottom + 1 - top, right + 1 - left
    if height * width > MOST_READ and inside.size > 1:
        axis = int(np.argmax(inside.shape))
        for half in np.split(np.arange(inside.shape[axis]), [inside.shape[axis] // 2]):
            part = (slice(half[0], half[-1] + 1), slice(None))[:: 1 if axis == 0 else -1]
            of = Cells(cells.rows[part], cells.columns[part])
            sample(raster, of, inside[part], read, found[part])
        return
    pixels = read(raster, Window(left, top, width, height))
    found[inside] = pixels[cells.rows[inside] - top, cells.columns[inside] - left]


def _band(number: int) -> Read:
    """Return what reads one band."""
    return lambda raster, window: np.asarray(raster.read(number, window=window))
