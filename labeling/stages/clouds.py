"""Clouds as part of a scene's stages: cells are summed while bands are decoded, and found once all are there.

decode    every native block of the bands that find clouds -> sums over the cells it touches
exclude   sums of all blocks -> clouds of the scene
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from labeling.bands import Band
from labeling.grid import Block, blocks
from labeling.masks.clouds.cells import CellGrid, CellSums, cell_sums, mean, merge
from labeling.masks.clouds.find import Clouds, CloudSettings, check_bands, find_clouds, needed_bands
from labeling.masks.clouds.products import CloudClass, find_mask, product_cells
from labeling.scenes.contract.product import GRID, BandLayout, Product
from labeling.stages.planes import Planes

_NOTE, _FOUND = "cells", "clouds"

_MASK_ROWS: Final = 512
"""Rows of 10 m pixels of a product's mask that are held at a time."""


def note_cells(product: Product, block: Block, planes: Planes, settings: CloudSettings) -> None:
    """Sum the cells that are the part of `block` in finding clouds; SceneError when a band is missing.

    A band's native blocks belong to the block of 10 m pixels in which they begin, and the product's mask to
    the first one, so that each piece is decoded by one task.
    """
    facts = product.facts
    grid = settings.grid(height=facts.height, width=facts.width)
    sums: dict[str, list[CellSums]] = {}
    bands = needed_bands(settings)
    check_bands(product, bands)
    if "product" in settings.sources and (block.row, block.column) == (0, 0):
        for kind, window in _mask_sums(product, grid):
            sums.setdefault(kind.name, []).append(window)
    for band in bands:
        sums[band] = list(_band_sums(product, band, block, grid))
    arrays = {
        f"{key} {number} {field}": np.asarray(value)
        for key, windows in sums.items()
        for number, window in enumerate(windows)
        for field, value in window._asdict().items()
    }
    planes.note(_NOTE, block, **arrays)


def clouds_of(cut: Sequence[Block], planes: Planes, grid: CellGrid, settings: CloudSettings) -> Clouds:
    """Find the clouds of a scene whose blocks have been noted."""
    found: dict[str, list[CellSums]] = {}
    for block in cut:
        arrays = planes.noted(_NOTE, block)
        for name in {name.rpartition(" ")[0] for name in arrays}:
            row, column, total, area = (arrays[f"{name} {field}"] for field in CellSums._fields)
            found.setdefault(name.partition(" ")[0], []).append(CellSums(int(row), int(column), total, area))
    means = {key: mean(merge(windows, grid)) for key, windows in found.items()}
    reflectance = {band: means[band] for band in needed_bands(settings)}
    shares = {kind: means[kind.name] for kind in CloudClass if kind.name in means}
    return find_clouds(reflectance, shares, settings)


def note_clouds(clouds: Clouds, planes: Planes, grid: CellGrid) -> None:
    """Keep a scene's clouds for the stage that writes."""
    known = {} if clouds.probability is None else {"probability": clouds.probability}
    planes.note(_FOUND, Block(0, 0, grid.height, grid.width), classes=clouds.classes, **known)


def noted_clouds(planes: Planes, grid: CellGrid) -> Clouds:
    """Return what `note_clouds` kept."""
    arrays = planes.noted(_FOUND, Block(0, 0, grid.height, grid.width))
    return Clouds(arrays.get("probability"), arrays["classes"])


def native_blocks(layout: BandLayout, block: Block, *, height: int, width: int) -> Iterator[Block]:
    """Yield the blocks in which a band is stored, in its native pixels, that begin in a block of 10 m pixels.

    `height` and `width` are the scene's, in 10 m pixels.
    """
    step = layout.resolution // GRID
    for native in blocks(
        height=height // step, width=width // step, size=layout.block_height, columns=layout.block_width
    ):
        if block.holds(Block(native.row * step, native.column * step, step, step)):
            yield native


def _band_sums(product: Product, band: Band, block: Block, grid: CellGrid) -> Iterator[CellSums]:
    layout = product.layout(band)
    for native in native_blocks(layout, block, height=grid.height, width=grid.width):
        values, valid, _ = product.read_native(band, native)
        yield cell_sums(values[0], valid, native, layout.resolution // GRID, grid)


def _mask_sums(product: Product, grid: CellGrid) -> Iterator[tuple[CloudClass, CellSums]]:
    layer = find_mask(product)
    for row in range(0, grid.height, _MASK_ROWS):
        strip = Block(row, 0, min(_MASK_ROWS, grid.height - row), grid.width)
        codes = product.read_layer(layer, strip)
        if codes is not None:
            yield from product_cells(codes, layer, strip, grid).items()
