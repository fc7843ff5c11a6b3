"""Bands of any native resolution, brought to one grid, with a result that does not depend on the blocks.

Finer grids: everywhere `block` is in pixels of the grid, `source` in native pixels that are `factor` times as
large, and both count from the product's upper left corner. Coarser grids: native pixels are `factor` times
as small as those of the grid, and start where one of its pixels starts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling

from labeling.grid import Block
from labeling.scenes.contract.product import Reflectance


class Measured(NamedTuple):
    """One band on one grid, each (height, width)."""

    values: NDArray[np.float32]
    """Reflectance; NaN where not valid."""
    valid: NDArray[np.bool_]
    saturated: NDArray[np.bool_]
    """Its value is a lower bound."""


def stack(bands: Sequence[Measured]) -> Reflectance:
    """Put bands of one grid together; ValueError for none."""
    if not bands:
        raise ValueError("no bands were asked for")
    return Reflectance(
        np.stack([band.values for band in bands]),
        np.logical_and.reduce([band.valid for band in bands]),
        np.logical_or.reduce([band.saturated for band in bands]),
    )


def on_grid(
    measure: Callable[[Block], Measured],
    block: Block,
    resolution: int,
    resampling: Resampling,
    *,
    metres: int,
    height: int,
    width: int,
) -> Measured:
    """Read a band on the grid of a resolution; `block` is in pixels of that grid.

    `measure` reads native pixels of the band, whose sides are `metres` and which are `height` x `width`. It
    is called once, for as few as the block needs.
    """
    if metres == resolution:
        return measure(block)
    if metres < resolution:
        factor = resolution // metres
        return coarser(measure(Block(*(factor * number for number in block))), factor)
    factor = metres // resolution
    source = cover(block, factor)
    if resampling is Resampling.bilinear:
        source = source.grow(1, height=height, width=width)
    return finer(measure(source), block, source, factor, resampling)


def finer(native: Measured, block: Block, source: Block, factor: int, resampling: Resampling) -> Measured:
    """Bring a band to a finer grid by bilinear or nearest; `native` covers `source`.

    The native pixel that a pixel lies in decides whether it is valid and saturated. Neither kind takes part
    in the interpolation of its neighbours. For bilinear, `source` is as `bilinear` wants it.
    """
    near = Measured(*(nearest(layer, block, source, factor) for layer in native))
    if resampling is Resampling.nearest:
        return near
    usable = native.valid & ~native.saturated
    total = bilinear(np.where(usable, native.values, np.float32(0)), block, source, factor)
    weight = bilinear(usable.astype(np.float32), block, source, factor)
    keep = near.valid & ~near.saturated  # so the native pixel it lies in has weight
    return near._replace(values=np.divide(total, weight, out=near.values, where=keep))


def coarser(native: Measured, factor: int) -> Measured:
    """Bring a band to a coarser grid: the mean of the valid, unsaturated native pixels in each pixel.

    A pixel is valid when at least half of its native pixels are, and saturated when any of them is. Its value
    is then still a lower bound: of the others, or of saturation where no other is valid.
    """
    usable = native.valid & ~native.saturated
    valid = 2 * _sum(native.valid, factor) >= factor**2
    saturated = _sum(native.saturated, factor) > 0
    values = _mean(native.values, usable, factor)
    if saturated.any():
        values = np.where(np.isnan(values), _mean(native.values, native.valid, factor), values)
    return Measured(np.where(valid, values, np.float32(np.nan)), valid, saturated)


def cover(block: Block, factor: int) -> Block:
    """Return the native pixels, `factor` times as large, that a block of the grid's pixels touches."""
    row, column = block.row // factor, block.column // factor
    bottom, right = block.row + block.height, block.column + block.width
    return Block(row, column, -(-bottom // factor) - row, -(-right // factor) - column)


def nearest(native: NDArray[Any], block: Block, source: Block, factor: int) -> NDArray[Any]:
    """Return for each pixel of `block` the native pixel it lies in, as a copy; `native` covers `source`."""
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


def _mean(values: NDArray[np.float32], taken: NDArray[np.bool_], factor: int) -> NDArray[np.float32]:
    """Return the mean of the taken ones in each square of `factor`; NaN where there are none."""
    total, count = _sum(np.where(taken, values, np.float32(0)), factor), _sum(taken, factor)
    mean = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    return mean.astype(np.float32)


def _sum(native: NDArray[Any], factor: int) -> NDArray[np.float64]:
    """Return the sum over each square of `factor`.

    One pixel of the squares after the other, because NumPy's own sums add in an order, and so round in a
    way, that depends on the shape of the block.
    """
    height, width = native.shape
    total = np.zeros((height // factor, width // factor))
    for row in range(factor):
        for column in range(factor):
            total += native[row::factor, column::factor]
    return total
