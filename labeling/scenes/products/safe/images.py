"""The JPEG 2000 images of one product, as rasters that are decoded block by block."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, Final

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from labeling.errors import SceneError
from labeling.files.storage import is_waiting
from labeling.grid import Block
from labeling.scenes.contract.product import GRID
from labeling.scenes.products.safe.blocks import BlockRaster
from labeling.scenes.products.safe.files import ProductFiles
from labeling.scenes.products.safe.metadata import SafeMetadata

GDAL_OPTIONS: Final = {
    # With more threads GDAL decodes several JPEG 2000 blocks of one read at once and drops their errors:
    # a truncated band then comes back as uninitialised memory. With one, it is an error.
    "GDAL_NUM_THREADS": 1,
    # Bytes: blocks.py keeps what is asked for again. GDAL would keep it too, up to 5 % of the machine's
    # memory in every worker.
    "GDAL_CACHEMAX": 16 << 20,
    # Nothing beside an image may change what it says.
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
}
"""What GDAL must be told while images are open."""


class Images:
    """Images are opened when first asked for, and stay open as long as the stack they are put on."""

    def __init__(self, files: ProductFiles, metadata: SafeMetadata, stack: ExitStack) -> None:
        self._files = files
        self._metadata = metadata
        self._stack = stack
        self._open_images: dict[str, DatasetReader] = {}

    def raster(self, name: str, dtype: str, metres: int | None = None) -> BlockRaster:
        """Return an image of pixels of `metres`, None for any that divides the product.

        Raises SceneError when it is damaged, or its pixels are not those the XML promises; decoding it
        raises SceneError too.
        """
        image = self._open(name)
        metres = metres or self._metadata.width // image.width * GRID
        height, width = self._metadata.height * GRID, self._metadata.width * GRID
        if (image.height * metres, image.width * metres) != (height, width) or image.dtypes[0] != dtype:
            raise SceneError(
                f"{self._files.uri}: {name} has {image.height} rows and {image.width} columns of "
                f"{image.dtypes[0]}; its XML promises {dtype} over {height} x {width} m. Fetch the product "
                "again."
            )
        block_height, block_width = image.block_shapes[0]
        return BlockRaster(
            name,
            image.count,
            dtype,
            metres,
            image.height,
            image.width,
            block_height,
            block_width,
            lambda block: self._decode(name, image, block),
        )

    def _open(self, name: str) -> DatasetReader:
        if name not in self._open_images:
            if is_waiting(str(self._files.uri / name)):
                raise SceneError(f"{self._files.uri}: {name} is no file. Fetch the product again.")
            try:
                # The driver is named so that no other kind of file passes for an image.
                image = rasterio.open(self._files.gdal_path(name), driver="JP2OpenJPEG")
            except RasterioError as error:
                raise SceneError(
                    f"{self._files.uri} is damaged: {name} cannot be opened as JPEG 2000 ({error}). "
                    "Fetch the product again."
                ) from None
            self._open_images[name] = self._stack.enter_context(image)
        return self._open_images[name]

    def _decode(self, name: str, image: DatasetReader, block: Block) -> NDArray[Any]:
        try:
            return np.asarray(image.read(window=block.window))
        except RasterioError as error:
            raise SceneError(
                f"{self._files.uri} is damaged: the pixels of {name} at row {block.row}, column "
                f"{block.column} cannot be decoded ({error.__cause__ or error}). Fetch the product again."
            ) from None
