"""Sentinel-2 products in SAFE format, L1C and L2A: reflectance on a 10, 20 or 60 m grid, read by blocks.

open_product -> find_files (files.py) -> parse_metadata (metadata.py) -> SafeProduct
read: images (images.py) less what no detector saw (masks.py, gml.py)
      -> blocks, each decoded once (blocks.py) -> reflectance -> one grid (resample.py)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling

from labeling.bands import BANDS, NODATA_DN, SATURATED_DN, Band
from labeling.errors import SceneError
from labeling.files import s3
from labeling.files.raster import quiet_georeference
from labeling.grid import Block
from labeling.scenes.contract.product import GRID, BandLayout, Reflectance
from labeling.scenes.contract.resample import Measured, cover, nearest, on_grid, stack
from labeling.scenes.products.safe.blocks import BlockCache, BlockRaster
from labeling.scenes.products.safe.files import ProductFiles, find_files
from labeling.scenes.products.safe.images import GDAL_OPTIONS, Images
from labeling.scenes.products.safe.masks import Masks
from labeling.scenes.products.safe.metadata import SafeMetadata, parse_metadata

_RESOLUTIONS: Final = (10, 20, 60)
_METHODS: Final = (Resampling.bilinear, Resampling.nearest)


class SafeProduct:
    """An open product. It is not shared between threads and never crosses to another process.

    Images are opened when first asked for and stay open until the product is closed. Blocks of them are kept
    while reads come back to them, at most `safe_blocks.KEPT_BYTES`.
    """

    def __init__(self, files: ProductFiles, metadata: SafeMetadata, stack: ExitStack) -> None:
        self._files = files
        self._metadata = metadata
        self._images = Images(files, metadata, stack)
        self._masks = Masks(files, metadata, self._images)
        self._cache = BlockCache()

    @property
    def files(self) -> ProductFiles:
        """Where the product's files are."""
        return self._files

    @property
    def facts(self) -> SafeMetadata:
        """What the product's XML says."""
        return self._metadata

    @property
    def bands(self) -> tuple[Band, ...]:
        """The bands that its type has; one of them may still be missing from a damaged copy."""
        return BANDS[self._metadata.product_type]

    def layout(self, band: Band) -> BandLayout:
        """Return how a band is stored; SceneError when its image is missing or damaged."""
        image = self._image(band)
        return BandLayout(image.metres, image.block_height, image.block_width)

    def read(
        self,
        block: Block,
        bands: Sequence[Band],
        *,
        resolution: int = GRID,
        resampling: Resampling = Resampling.bilinear,
    ) -> Reflectance:
        """Read bands on the grid of a resolution, 10, 20 or 60 m; `block` is in pixels of that grid.

        Bands of that resolution are read as they are. Coarser ones are brought to it by `resampling`:
        `bilinear` between the centres of native pixels, or `nearest`, each pixel taking the native pixel it
        lies in. Finer ones are averaged over the valid, unsaturated native pixels in each pixel, which is
        valid when at least half of them are and saturated when any is.

        A native pixel is valid when its DN is not 0 and a detector saw it, if the product says which did.
        Others and saturated ones take no part in interpolation; whether a pixel finer than the band is one
        of them is decided by the native pixel it lies in. A band's values are NaN where it is not valid. The
        result does not depend on how blocks are cut.

        Raises SceneError when a band or its footprint is damaged, or a band missing; ValueError for a block,
        resolution, band list or method that does not exist.
        """
        if resampling not in _METHODS:
            raise ValueError(f"resampling is bilinear or nearest, not {resampling.name}")
        if resolution not in _RESOLUTIONS:
            raise ValueError(f"resolution is 10, 20 or 60 m, not {resolution}")
        self._check_block(block, resolution)
        return stack([self._read_band(band, block, resolution, resampling) for band in bands])

    def read_native(self, band: Band, block: Block | None = None) -> Reflectance:
        """Read one band at its own resolution; `block` is in its native pixels, None for the whole band.

        Shapes are (1, height, width) and (height, width). Raises as `read` does.
        """
        if block is None:
            factor = band.resolution // GRID
            block = Block(0, 0, self._metadata.height // factor, self._metadata.width // factor)
        return self.read(block, [band], resolution=band.resolution)

    def read_layer(self, layer: str, block: Block) -> NDArray[np.uint8] | None:
        """Read codes on the 10 m grid, (layers, height, width), by nearest neighbour; None where missing.

        `layer` is "TCI" or "SCL", or a mask: "MSK_CLASSI_B00" (opaque cloud, cirrus, snow: 0 or 1 each; no
        snow in products before baseline 04.00), "MSK_DETFOO_B02", … (number of the detector, 0 for none), or
        another that is an image. `block` is in 10 m pixels. Raises SceneError when the layer is damaged.
        """
        self._check_block(block, GRID)
        raster = self._masks.layer(layer)
        if raster is None:
            return None
        factor = raster.metres // GRID
        source = cover(block, factor)
        return nearest(self._cache.read(raster, source), block, source, factor)

    def _read_band(self, band: Band, block: Block, resolution: int, resampling: Resampling) -> Measured:
        raster = self._observed(band)

        def measure(source: Block) -> Measured:
            dn = self._cache.read(raster, source)[0]
            values = self._metadata.radiometry.reflectance(dn, band)
            return Measured(values, dn != NODATA_DN, dn == SATURATED_DN)

        return on_grid(
            measure,
            block,
            resolution,
            resampling,
            metres=raster.metres,
            height=raster.height,
            width=raster.width,
        )

    def _observed(self, band: Band) -> BlockRaster:
        """Return a band's DN with no-data wherever no detector saw the ground."""
        image, footprint = self._image(band), self._masks.footprint(band)
        if footprint is None:
            return image

        def make(block: Block) -> NDArray[Any]:
            dn = image.make(block)
            dn[self._cache.read(footprint, block) == 0] = NODATA_DN
            return dn

        return image._replace(make=make)

    def _image(self, band: Band) -> BlockRaster:
        product_type = self._metadata.product_type
        if band not in BANDS[product_type]:
            raise SceneError(
                f"{self._files.uri} is {product_type}, which has no band {band}. Give the L1C product."
            )
        return self._images.raster(self._files.band(band), "uint16", band.resolution)

    def _check_block(self, block: Block, metres: int) -> None:
        height = self._metadata.height * GRID // metres
        width = self._metadata.width * GRID // metres
        if (
            min(block.row, block.column) < 0
            or min(block.height, block.width) < 1
            or block.row + block.height > height
            or block.column + block.width > width
        ):
            raise ValueError(f"{block} is not inside {height} rows and {width} columns of {metres} m")


@contextmanager
def open_product(uri: str) -> Iterator[SafeProduct]:
    """Open the product at `uri`, an `X.SAFE` folder or a zip of one; SceneError says why it cannot."""
    files = find_files(uri)
    metadata = parse_metadata(
        files.read_xml(files.product_xml), files.read_xml(files.granule_xml), where=str(files.uri)
    )
    if metadata.height % 6 or metadata.width % 6 or min(metadata.height, metadata.width) < 6:
        raise SceneError(
            f"{files.uri}: its XML states {metadata.height} rows and {metadata.width} columns of 10 m, which "
            "60 m pixels do not divide. Fetch the product again."
        )
    with rasterio.Env(**(s3.gdal_options() | GDAL_OPTIONS)), quiet_georeference(), ExitStack() as stack:
        yield SafeProduct(files, metadata, stack)
