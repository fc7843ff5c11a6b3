"""What every product is to the rest of the project: facts, and reflectance by blocks.

A product is a SAFE folder or zip, a GeoTIFF with named bands, or a STAC item (scenes/products/).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple, Protocol

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling

from labeling.bands import BLUE, GREEN, RED, Band, ProductType
from labeling.grid import Block
from labeling.scenes.contract.rayleigh import Angles

GRID: Final = 10
"""Side in metres of a pixel of the grid that `Product.read` and scenes use."""

ZENITHS: Final = (0.0, 180.0)
"""Degrees between which a sun's zenith angle lies."""

ELEVATIONS: Final = (-90.0, 90.0)
VIEW_ZENITHS: Final = (0.0, 90.0)
AZIMUTHS: Final = (-360.0, 360.0)

ORBITS: Final = 143
"""Relative orbits of Sentinel-2, which count from 1."""

TRUE_COLOUR: Final = (RED, GREEN, BLUE)
"""The bands of a picture, in its order."""


class View(NamedTuple):
    """Where the satellite stands, seen from the ground; degrees, means over the granule."""

    zenith: float
    azimuth: float


class ProductFacts(Protocol):
    """What a product says about itself; None where it says nothing. It can be pickled."""

    @property
    def product_id(self) -> str:
        """Name of the product, without an ending."""

    @property
    def product_type(self) -> ProductType | None:
        """L1C or L2A."""

    @property
    def baseline(self) -> str | None:
        """Processing baseline, for example "05.00"; for the record only, never a source of offsets."""

    @property
    def sensing_time(self) -> datetime | None:
        """When the granule was observed, UTC."""

    @property
    def relative_orbit(self) -> int | None:
        """1..143."""

    @property
    def acquisition(self) -> str:
        """Equal for everything that was seen in one pass, whatever its tile, level and baseline."""

    @property
    def tile(self) -> str | None:
        """MGRS tile, for example "58CDU"."""

    @property
    def sun_zenith(self) -> float | None:
        """Mean over the granule in degrees: 0 overhead, 90 at the horizon."""

    @property
    def sun_azimuth(self) -> float | None:
        """Mean over the granule in degrees, from north over east."""

    @property
    def views(self) -> Mapping[Band, View]:
        """Where the satellite stood for each band, as far as that is known."""

    @property
    def unit(self) -> str | None:
        """The satellite: A, B or C."""

    @property
    def crs(self) -> CRS:
        """Coordinate system of the grid."""

    @property
    def transform(self) -> Affine:
        """From (column, row) of the 10 m grid to coordinates."""

    @property
    def height(self) -> int:
        """Pixels of 10 m."""

    @property
    def width(self) -> int:
        """Pixels of 10 m."""


def angles_of(facts: ProductFacts, bands: Sequence[Band] = TRUE_COLOUR) -> list[Angles] | None:
    """Return where sun and satellite stood for each band; None where the product leaves any of it open."""
    if facts.sun_zenith is None or facts.sun_azimuth is None or any(b not in facts.views for b in bands):
        return None
    return [Angles(facts.sun_zenith, facts.sun_azimuth, *facts.views[band]) for band in bands]


class BandLayout(NamedTuple):
    """How a band is stored."""

    resolution: int
    """Side of a native pixel in metres; a multiple of GRID."""
    block_height: int
    """Rows of native pixels that decode together."""
    block_width: int


class Reflectance(NamedTuple):
    """Bands of a block. A pixel counts as valid by its stored DN, whatever its reflectance."""

    values: NDArray[np.float32]
    """(bands, height, width), about 0..1.5 and slightly negative over dark water; NaN where that band is
    not valid. 0.0 is a measurement."""
    valid: NDArray[np.bool_]
    """(height, width), False where any of the bands has DN 0, or no detector saw the pixel: no-data."""
    saturated: NDArray[np.bool_]
    """(height, width), True where any of the bands has DN 65535: its value is a lower bound."""


class Product(Protocol):
    """An open product. It is not shared between threads and never crosses to another process."""

    @property
    def facts(self) -> ProductFacts:
        """What the product says about itself."""

    @property
    def bands(self) -> tuple[Band, ...]:
        """The bands it has, in the order of `Band`."""

    def layout(self, band: Band) -> BandLayout:
        """Return how a band is stored, so that readers can keep to its blocks; SceneError when missing."""

    def read(
        self,
        block: Block,
        bands: Sequence[Band],
        *,
        resolution: int = GRID,
        resampling: Resampling = Resampling.bilinear,
    ) -> Reflectance:
        """Read bands on the grid of a resolution (10, 20 or 60 m); `block` is in pixels of that grid.

        Bands of that resolution are read as they are. Finer ones are averaged over their valid, unsaturated
        pixels: valid when at least half are, saturated when any is. Coarser ones are brought to it by
        `resampling`, bilinear or nearest. The result does not depend on how blocks are cut.
        """

    def read_native(self, band: Band, block: Block | None = None) -> Reflectance:
        """Read one band at its own resolution; `block` is in its native pixels, None for the whole band."""

    def read_layer(self, layer: str, block: Block) -> NDArray[np.uint8] | None:
        """Read codes on the 10 m grid, (layers, height, width), by nearest neighbour; None where missing.

        `layer` is "SCL" (scene classification of L2A), "MSK_CLASSI_B00" (opaque cloud, cirrus, snow: 0 or
        1 each; no snow before baseline 04.00), "MSK_DETFOO_B02", … (number of the detector, 0 for none) or
        "TCI" (the product's own picture).
        """
