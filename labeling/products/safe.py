"""Sentinel-2 products in SAFE format, L1C and L2A: reflectance on the 10 m grid, read by blocks.

`open_product` -> find_files (safe_files.py) -> parse_metadata (safe_metadata.py) -> `SafeProduct.read`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final, NamedTuple

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from labeling.bands import BANDS, NODATA_DN, SATURATED_DN, Band
from labeling.errors import SceneError
from labeling.grid import Block
from labeling.products.product import GRID, BandLayout, Reflectance
from labeling.products.resample import bilinear, cover, nearest
from labeling.products.safe_files import ProductFiles, find_files
from labeling.products.safe_metadata import SafeMetadata, parse_metadata
from labeling.raster import quiet_georeference

GDAL_OPTIONS: Final = {
    # With more threads GDAL decodes several JPEG 2000 blocks of one read at once and drops their errors:
    # a truncated band then comes back as uninitialised memory. With one, it is an error.
    "GDAL_NUM_THREADS": 1,
    # Nothing beside an image may change what it says.
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
}


class SafeProduct:
    """An open product. It is not shared between threads and never crosses to another process.

    Images are opened when first asked for and stay open until the product is closed.
    """

    def __init__(self, files: ProductFiles, metadata: SafeMetadata, stack: ExitStack) -> None:
        self._files = files
        self._metadata = metadata
        self._stack = stack
        self._images: dict[str, DatasetReader] = {}

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
        height, width = self._open(self._files.band(band)).block_shapes[0]
        return BandLayout(band.resolution, height, width)

    def read(
        self, block: Block, bands: Sequence[Band], *, resampling: Resampling = Resampling.bilinear
    ) -> Reflectance:
        """Read bands on the 10 m grid; `block` is in 10 m pixels and lies inside the product.

        10 m bands are read as they are. 20 m and 60 m bands are brought to 10 m by `resampling`: `bilinear`
        between the centres of native pixels, or `nearest`, each 10 m pixel taking the native pixel it lies
        in. No-data and saturated pixels take no part in the interpolation; whether a 10 m pixel is one of
        them is decided by the native pixel it lies in. The result does not depend on how blocks are cut.

        Raises SceneError when a band is missing or damaged, ValueError for a block, band list or method
        that does not exist.
        """
        if resampling not in (Resampling.bilinear, Resampling.nearest):
            raise ValueError(f"resampling is bilinear or nearest, not {resampling.name}")
        self._check_block(block, GRID)
        return _stack([self._read_band(band, block, resampling) for band in bands])

    def read_native(self, band: Band, block: Block | None = None) -> Reflectance:
        """Read one band at its own resolution; `block` is in its native pixels, None for the whole band.

        Shapes are (1, height, width) and (height, width). Raises as `read` does.
        """
        if block is None:
            factor = band.resolution // GRID
            block = Block(0, 0, self._metadata.height // factor, self._metadata.width // factor)
        self._check_block(block, band.resolution)
        return _stack([_measure(self._read_dn(band, block), self._metadata, band)])

    def read_layer(self, layer: str, block: Block) -> NDArray[np.uint8] | None:
        """Read a raster of codes on the 10 m grid, (bands, height, width), by nearest neighbour.

        `layer` is "TCI", "SCL", "MSK_CLASSI_B00", "MSK_DETFOO_B02", …; None where the product has no such
        raster (masks before baseline 04.00 are GML: see `files.masks`). `block` is in 10 m pixels.
        """
        name = self._files.images.get(layer) or self._files.masks.get(layer)
        if name is None or not name.endswith(".jp2"):
            return None
        self._check_block(block, GRID)
        image = self._open(name)
        factor = self._metadata.width // image.width if image.width <= self._metadata.width else 0
        self._check_image(name, image, "uint8", factor * GRID)
        source = cover(block, factor)
        return nearest(self._decode(name, source, None), block, source, factor).astype(np.uint8, copy=False)

    def _read_band(self, band: Band, block: Block, resampling: Resampling) -> _Measured:
        factor = band.resolution // GRID
        if factor == 1:
            return _measure(self._read_dn(band, block), self._metadata, band)
        height, width = self._metadata.height // factor, self._metadata.width // factor
        source = cover(block, factor).grow(1, height=height, width=width)
        dn = self._read_dn(band, source)
        coarse = _measure(nearest(dn, block, source, factor), self._metadata, band)
        if resampling is Resampling.nearest:
            return coarse
        return _smooth(coarse, _measure(dn, self._metadata, band), block, source, factor)

    def _read_dn(self, band: Band, block: Block) -> NDArray[np.uint16]:
        product_type = self._metadata.product_type
        if band not in BANDS[product_type]:
            raise SceneError(
                f"{self._files.uri} is {product_type}, which has no band {band}. Give the L1C product."
            )
        name = self._files.band(band)
        self._check_image(name, self._open(name), "uint16", band.resolution)
        return np.asarray(self._decode(name, block, 1), np.uint16)

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

    def _check_image(self, name: str, image: DatasetReader, dtype: str, metres: int) -> None:
        """Refuse an image whose pixels are not those the XML promises."""
        height, width = self._metadata.height * GRID, self._metadata.width * GRID
        if (image.height * metres, image.width * metres) != (height, width) or image.dtypes[0] != dtype:
            raise SceneError(
                f"{self._files.uri}: {name} has {image.height} rows and {image.width} columns of "
                f"{image.dtypes[0]}; its XML promises {dtype} over {height} x {width} m. Fetch the product "
                "again."
            )

    def _open(self, name: str) -> DatasetReader:
        if name not in self._images:
            try:
                # The driver is named so that no other kind of file passes for an image.
                image = rasterio.open(self._files.gdal_path(name), driver="JP2OpenJPEG")
            except RasterioError as error:
                raise SceneError(
                    f"{self._files.uri} is damaged: {name} cannot be opened as JPEG 2000 ({error}). "
                    "Fetch the product again."
                ) from None
            self._images[name] = self._stack.enter_context(image)
        return self._images[name]

    def _decode(self, name: str, block: Block, index: int | None) -> NDArray[Any]:
        try:
            return np.asarray(self._open(name).read(index, window=block.window))
        except RasterioError as error:
            raise SceneError(
                f"{self._files.uri} is damaged: the pixels of {name} at row {block.row}, column "
                f"{block.column} cannot be decoded ({error.__cause__ or error}). Fetch the product again."
            ) from None


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
    with rasterio.Env(**GDAL_OPTIONS), quiet_georeference(), ExitStack() as stack:
        yield SafeProduct(files, metadata, stack)


class _Measured(NamedTuple):
    """One band: values float32, valid and saturated, each (height, width)."""

    values: NDArray[np.float32]
    valid: NDArray[np.bool_]
    saturated: NDArray[np.bool_]


def _measure(dn: NDArray[np.uint16], metadata: SafeMetadata, band: Band) -> _Measured:
    return _Measured(metadata.radiometry.reflectance(dn, band), dn != NODATA_DN, dn == SATURATED_DN)


def _stack(bands: Sequence[_Measured]) -> Reflectance:
    if not bands:
        raise ValueError("no bands were asked for")
    return Reflectance(
        np.stack([band.values for band in bands]),
        np.logical_and.reduce([band.valid for band in bands]),
        np.logical_or.reduce([band.saturated for band in bands]),
    )


def _smooth(coarse: _Measured, native: _Measured, block: Block, source: Block, factor: int) -> _Measured:
    """Replace the usable values of `coarse` by interpolation between usable native pixels."""
    usable = native.valid & ~native.saturated
    total = bilinear(np.where(usable, native.values, np.float32(0)), block, source, factor)
    weight = bilinear(usable.astype(np.float32), block, source, factor)
    keep = coarse.valid & ~coarse.saturated  # so the native pixel it lies in has weight
    values = np.divide(total, weight, out=coarse.values.copy(), where=keep)
    return coarse._replace(values=values)
