"""What a network said of each pixel, beside a map's classes: probability.tif and uncertainty.tif.

Shares of one in whole levels of u8: 0 is 0, 250 is 1, 255 is no-data, where no network drew the map.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp

from labeling.classes import IGNORE, IceClass
from labeling.files.cogs.write import new_cog
from labeling.files.storage import AnyPath
from labeling.grid import Block
from labeling.results.assets import ItemAsset

LEVELS: Final = 250
"""The level of a share of one."""

SCALE: Final = 0.004
"""What a level is worth: values are level x SCALE."""

UNSAID: Final = IGNORE
"""No-data of these rasters."""

LayerName = Literal["probability", "uncertainty"]


class Layer(NamedTuple):
    """A raster of shares."""

    name: LayerName
    title: str
    bands: tuple[str, ...]
    """What each band is the share of."""

    @property
    def file(self) -> str:
        """Its name in a map's folder."""
        return f"{self.name}.tif"

    @property
    def asset(self) -> ItemAsset:
        """What the STAC Item says of it; its bands have the names of Bands of STAC 1.1."""
        bands = [{"name": band.replace(" ", "_"), "description": self.describe(band)} for band in self.bands]
        return ItemAsset(
            self.file, self.title, fields={
                "data_type": "uint8", "nodata": UNSAID, "unit": "1", "bands": bands,
                "raster:scale": SCALE, "raster:offset": 0,
            },
        )  # fmt: skip

    def describe(self, band: str) -> str:
        """Return a band's description."""
        return f"{self.name} of {band}" if len(self.bands) > 1 else band


LAYERS: Final[dict[str, Layer]] = {
    "probability": Layer(
        "probability", "Probability of each class by the network", tuple(c.title for c in IceClass)
    ),
    "uncertainty": Layer(
        "uncertainty", "How little the network prefers its class", ("1 - (likeliest - second class)",)
    ),
}


def levels(shares: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return shares 0..1 as the nearest whole levels, u8 of the same shape."""
    return np.asarray(np.rint(shares * np.float32(LEVELS)), np.uint8)


def shares_of(name: str, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a layer's shares, f32 (bands, height, width), of probabilities (height, width, 3).

    Uncertainty is 1 less the distance of the likeliest class from the second: 0 where the network is sure, 1
    where two are equally likely.
    """
    if name == "probability":
        return np.moveaxis(probabilities, -1, 0)
    # Class by class: numpy sorts an axis so short pixel by pixel, which takes many times as long.
    water, thin, thick = np.moveaxis(probabilities, -1, 0)
    lower, higher = np.minimum(water, thin), np.maximum(water, thin)
    first, second = np.maximum(higher, thick), np.maximum(lower, np.minimum(higher, thick))
    return np.asarray(1 - (first - second), np.float32)[None]


def write_layer(
    target: AnyPath,
    layer: Layer,
    cut: Iterable[Block],
    levels_of: Callable[[Block], NDArray[np.uint8]],
    **grid: Any,
) -> None:
    """Write a layer as a COG; `levels_of` returns a block's levels, u8 (bands, height, width).

    `grid` is that of `new_cog`. Overviews have averages. Bands are grey: viewers take three for colours.
    """
    count = len(layer.bands)
    with new_cog(
        target, **grid, count=count, dtype="uint8", nodata=UNSAID, resampling="AVERAGE",
        photometric="MINISBLACK",
    ) as raster:  # fmt: skip
        raster.descriptions = tuple(layer.describe(band) for band in layer.bands)
        raster.scales, raster.offsets, raster.units = (SCALE,) * count, (0.0,) * count, ("1",) * count
        raster.colorinterp = (ColorInterp.gray,) * count
        for block in cut:
            raster.write(levels_of(block), window=block.window)
