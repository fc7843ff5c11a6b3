"""The pieces (tiles, strips) a raster is stored in, where they show that it is damaged or made to harm."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader

from labeling.errors import SceneError
from labeling.files.uri import quoted
from labeling.grid import Block

LARGE: Final = 1 << 24
"""Pixels; larger pieces are not worth reading one by one."""


def check_pieces(name: str, dataset: DatasetReader) -> None:
    """Raise SceneError when a piece is much larger than the whole raster.

    GDAL makes room for one, and may fill it, whatever little of it is asked for. One piece for all of the
    raster is common, and may be rounded up.
    """
    rows, columns = dataset.block_shapes[0]
    if rows * columns > max(LARGE, 2 * dataset.height * dataset.width):
        raise SceneError(
            f"{name} says that {dataset.height} x {dataset.width} pixels are stored in pieces of {rows} x "
            f"{columns}. Its header is damaged, or made to do harm. Fetch the file again, or leave it out."
        )


def check_written(
    name: str, dataset: DatasetReader, bands: list[int], block: Block, values: NDArray[np.uint8]
) -> None:
    """Raise SceneError when a piece of a TIFF was never written, as a writer leaves it that was stopped.

    GDAL reads such pieces as zeros, which would become open water. For bands without declared no-data;
    `values`, u8 (bands, height, width), are what was read of the block.
    """
    if dataset.driver != "GTiff":
        return
    rows, columns = dataset.block_shapes[0]
    down = np.arange(block.row // rows, -(-(block.row + block.height) // rows))
    across = np.arange(block.column // columns, -(-(block.column + block.width) // columns))
    corners = values[:, np.maximum(down * rows - block.row, 0)]
    corners = corners[:, :, np.maximum(across * columns - block.column, 0)]
    for band, i, j in np.argwhere(corners == 0):
        piece = f"BLOCK_OFFSET_{across[j]}_{down[i]}"
        if dataset.get_tag_item(piece, "TIFF", bidx=bands[band]) is None:
            raise SceneError(
                f"{name} is not complete: its pixels at row {down[i] * rows}, column {across[j] * columns} "
                "were never written. Fetch or make it again; or, if they are missing on purpose, say so: "
                f"`rio edit-info --nodata 0 {quoted(name)}`."
            )
