"""A product that is a raster for each band, or one raster with many: read on any of its three grids."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import MaskFlags, Resampling
from rasterio.io import DatasetReader

from labeling.bands import Band
from labeling.errors import SceneError
from labeling.files.uri import shown
from labeling.grid import Block
from labeling.scenes.contract.product import GRID, BandLayout, Reflectance
from labeling.scenes.contract.resample import Measured, cover, nearest, on_grid, stack
from labeling.scenes.products.stacks.facts import RESOLUTIONS, Grid, RasterFacts, grid_of, resolution_of
from labeling.scenes.products.stacks.files import RasterFiles
from labeling.scenes.products.stacks.measured import DTYPES, Calibration, measure

_METHODS: Final = (Resampling.bilinear, Resampling.nearest)


class BandRaster(NamedTuple):
    """Where a band is and what its stored values mean."""

    locations: tuple[str, ...]
    """Paths or URLs of one file: where the first cannot be opened, the next is tried."""
    number: int
    """1-based band of the file."""
    calibration: Calibration
    nodata: float | None = None
    """Stored value of a pixel without data; None: what the file says, and where it does not, 0 in DN."""
    dtypes: tuple[str, ...] = DTYPES
    """What it may be stored as."""


class LayerRaster(NamedTuple):
    """Where codes are."""

    locations: tuple[str, ...]
    number: int | None = None
    """1-based band of the file; None for all of them."""


class BandRasters:
    """An open product; see `labeling.scenes.contract.product.Product`."""

    def __init__(
        self,
        name: str,
        facts: RasterFacts,
        files: RasterFiles,
        bands: Mapping[Band, BandRaster],
        layers: Mapping[str, LayerRaster],
        explain_absence: Callable[[Band], str],
    ) -> None:
        """Make a product of files that can be opened.

        In messages `name` is what it is called, and `explain_absence` what was looked for and found where
        it lacks a band.
        """
        self._name = name
        self._facts = facts
        self._files = files
        self._bands = bands
        self._layers = layers
        self._explain_absence = explain_absence

    @property
    def facts(self) -> RasterFacts:
        """What the product says about itself."""
        return self._facts

    @property
    def bands(self) -> tuple[Band, ...]:
        """The bands it has, in the order of `Band`."""
        return tuple(band for band in Band if band in self._bands)

    def layout(self, band: Band) -> BandLayout:
        """Return how a band is stored: a stack may hold a 20 m band at 10 m; SceneError when missing."""
        image = self._image(band)
        rows, columns = image.block_shapes[self._bands[band].number - 1]
        return BandLayout(self._resolution(band), rows, columns)

    def read(
        self,
        block: Block,
        bands: Sequence[Band],
        *,
        resolution: int = GRID,
        resampling: Resampling = Resampling.bilinear,
    ) -> Reflectance:
        """Read bands on the grid of a resolution; see `Product.read`, and resample.py for special pixels.

        Raises SceneError when a band is missing or damaged, ValueError for a block, band list, resolution
        or method that does not exist.
        """
        if resampling not in _METHODS:
            raise ValueError(f"resampling is bilinear or nearest, not {resampling.name}")
        if resolution not in RESOLUTIONS:
            raise ValueError(f"resolution is 10, 20 or 60 m, not {resolution}")
        self._check_block(block, resolution)
        return stack([self._read_band(band, block, resolution, resampling) for band in bands])

    def read_native(self, band: Band, block: Block | None = None) -> Reflectance:
        """Read one band at its own resolution; `block` is in its native pixels, None for the whole band."""
        image = self._image(band)
        if block is None:
            block = Block(0, 0, image.height, image.width)
        self._check_block(block, self._resolution(band))
        return stack([self._measure(band, block)])

    def read_layer(self, layer: str, block: Block) -> NDArray[np.uint8] | None:
        """Read codes on the 10 m grid, (layers, height, width), by nearest neighbour; None where missing."""
        if layer not in self._layers:
            return None
        self._check_block(block, GRID)
        raster = self._layers[layer]
        factor = resolution_of(self._checked(raster.locations), self._name) // GRID
        source = cover(block, factor)
        codes = self._files.read(raster.locations, raster.number, source)
        # In a stack they are of the type of its bands.
        codes = np.clip(np.nan_to_num(codes), 0, 255).astype(np.uint8)
        return nearest(codes.reshape(-1, source.height, source.width), block, source, factor)

    def _read_band(self, band: Band, block: Block, resolution: int, resampling: Resampling) -> Measured:
        image = self._image(band)
        return on_grid(
            lambda source: self._measure(band, source),
            block,
            resolution,
            resampling,
            metres=self._resolution(band),
            height=image.height,
            width=image.width,
        )

    def _measure(self, band: Band, block: Block) -> Measured:
        raster, image = self._bands[band], self._image(band)
        nodata = image.nodatavals[raster.number - 1] if raster.nodata is None else raster.nodata
        stored = self._files.read(raster.locations, raster.number, block)
        found = measure(stored, raster.calibration, nodata)
        if nodata is not None or MaskFlags.per_dataset not in image.mask_flag_enums[raster.number - 1]:
            return found
        seen = self._files.read(raster.locations, raster.number, block, masks=True) > 0
        values = np.where(seen, found.values, np.float32(np.nan))
        return Measured(values, found.valid & seen, found.saturated & seen)

    def _image(self, band: Band) -> DatasetReader:
        """Return the open raster of a band after checking that it fits the product."""
        if band not in self._bands:
            raise SceneError(
                f"{self._name} has no band {band}: {self._explain_absence(band)}. Give a product with it."
            )
        raster = self._bands[band]
        image = self._checked(raster.locations)
        dtype = image.dtypes[raster.number - 1]
        if dtype not in raster.dtypes:
            raise SceneError(
                f"{self._name}: band {band} is stored as {dtype}, and its description fits "
                f"{' or '.join(raster.dtypes)}. Fetch it again, or describe it as it is."
            )
        return image

    def _checked(self, locations: tuple[str, ...]) -> DatasetReader:
        """Return an open raster after checking that it covers the product, no more and no less."""
        image = self._files.open(locations)
        found, facts = grid_of(image, shown(locations[0])), self._facts
        if not found.fits(Grid(facts.crs, facts.transform, facts.height, facts.width)):
            raise SceneError(
                f"{self._name}: {shown(locations[0])} covers {found.height} x {found.width} pixels of 10 m "
                f"from {found.transform.c:.0f}, {found.transform.f:.0f} in {found.crs}; the product covers "
                f"{facts.height} x {facts.width} from {facts.transform.c:.0f}, {facts.transform.f:.0f} in "
                f"{facts.crs}. Fetch it again."
            )
        return image

    def _resolution(self, band: Band) -> int:
        return resolution_of(self._image(band), self._name)

    def _check_block(self, block: Block, metres: int) -> None:
        height, width = self._facts.height * GRID // metres, self._facts.width * GRID // metres
        inside = min(block.row, block.column) >= 0 and min(block.height, block.width) >= 1
        if not inside or block.row + block.height > height or block.column + block.width > width:
            raise ValueError(f"{block} is not inside {height} rows and {width} columns of {metres} m")
