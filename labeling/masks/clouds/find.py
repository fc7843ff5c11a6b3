"""Clouds of a scene, found on coarse cells and left out of its labels.

map     blocks of native pixels -> cells.cell_sums; blocks of a product's mask -> product_cells
reduce  merge, mean -> find_clouds -> cloud_raster.write_clouds
apply   cloud_mask: the 10 m pixels that get no class
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from labeling.bands import Band
from labeling.classes import IGNORE
from labeling.errors import SceneError
from labeling.grid import Block
from labeling.masks.clouds.cells import CellGrid
from labeling.masks.clouds.detector import DETECTOR_BANDS, cloud_probability, disk_radius, flag_clouds
from labeling.masks.clouds.products import CloudClass, share_classes
from labeling.masks.clouds.snow_guard import GUARD_BANDS, SnowGuardSettings, is_snow
from labeling.scenes.contract.product import GRID, Product
from labeling.settings import Settings

Reflectances = Mapping[Band, NDArray[np.float32]]
"""Mean reflectance of the cells, each (rows, columns), NaN where there is none."""

Shares = Mapping[CloudClass, NDArray[np.float32]]
"""What share of each cell's observed area a product's mask gives to each class, (rows, columns)."""


class CloudSettings(Settings):
    """Who finds the clouds, and how."""

    sources: tuple[Literal["s2cloudless", "product"], ...] = Field(
        (),
        max_length=2,
        description="s2cloudless (L1C only), product (the product's own mask), both, or none: no cloud is "
        "looked for",
    )
    resolution: int = Field(
        160,
        ge=60,
        le=960,
        multiple_of=GRID,
        description="metres along a cell, on which clouds are found; three of the bands have 60 m themselves",
    )
    threshold: float = Field(0.4, ge=0, le=1, description="probability beyond which s2cloudless means cloud")
    average_over: float = Field(
        640, ge=0, le=5000, description="metres; radius of the disk over which probability is averaged"
    )
    dilation: float = Field(320, ge=0, le=5000, description="metres by which s2cloudless's clouds grow")
    snow_guard: SnowGuardSettings | None = Field(
        SnowGuardSettings(), description="when s2cloudless is not believed; null believes it everywhere"
    )
    product_classes: tuple[Literal["opaque", "cirrus", "shadow"], ...] = Field(
        ("opaque", "cirrus"),
        max_length=3,
        description="classes of the product's mask that count; only L2A has shadow, and takes leads for it",
    )
    product_share: float = Field(
        0.5, gt=0, le=1, description="share of a cell that those classes must hold together"
    )

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        for name in ("sources", "product_classes"):
            chosen = getattr(self, name)
            if len(set(chosen)) < len(chosen):
                raise ValueError(f"{name} names something twice: {', '.join(chosen)}")
        return self

    def grid(self, *, height: int, width: int) -> CellGrid:
        """Return the cells of a scene, whose size is in 10 m pixels."""
        return CellGrid(height, width, self.resolution // GRID)


class Clouds(NamedTuple):
    """The sky over each cell, (rows, columns)."""

    probability: NDArray[np.float32] | None
    """What s2cloudless says of each cell on its own, 0..1, before averaging and the guard; NaN where a band
    has no value. None where it was not asked."""
    classes: NDArray[np.uint8]
    """CloudClass, IGNORE where no source has data."""


def needed_bands(settings: CloudSettings) -> tuple[Band, ...]:
    """Return the bands that have to be decoded, in the order of `Band`; none without s2cloudless."""
    if "s2cloudless" not in settings.sources:
        return ()
    return tuple(
        sorted({*DETECTOR_BANDS, *(GUARD_BANDS if settings.snow_guard else ())}, key=list(Band).index)
    )


def check_bands(product: Product, bands: Sequence[Band]) -> None:
    """Raise SceneError when a product lacks any of the `needed_bands`, or is no L1C product."""
    facts = product.facts
    way_out = "Give the L1C product, or set clouds.sources to 'product' for the product's own mask."
    if bands and facts.product_type == "L2A":
        raise SceneError(
            f"{facts.product_id} is L2A, and s2cloudless is made for L1C: it takes reflectance at the top of "
            f"the atmosphere, and B10, which L2A does not have. {way_out}"
        )
    missing = [band for band in bands if band not in product.bands]
    if missing:
        raise SceneError(
            f"{facts.product_id} has no {', '.join(missing)}, which s2cloudless and its snow guard need; it "
            f"has {', '.join(product.bands)}. {way_out}"
        )


def find_clouds(reflectance: Reflectances, shares: Shares, settings: CloudSettings) -> Clouds:
    """Find a scene's clouds on its cells.

    `reflectance` holds `needed_bands`, `shares` what the product's mask says; either is empty where its
    source is not chosen. The rule: a cell takes the largest CloudClass that any source gives it (opaque
    before cirrus before shadow before clear), and IGNORE only where no source has data. The guard takes
    s2cloudless's word on a cell, before that is averaged with its neighbours', and leaves the product's.
    """
    probability, found = None, []
    if "s2cloudless" in settings.sources:
        probability = cloud_probability(reflectance)
        found.append(_detected(probability, reflectance, settings))
    if "product" in settings.sources:
        chosen = [CloudClass[name.upper()] for name in settings.product_classes]
        found.append(share_classes(shares, chosen, settings.product_share))
    if not found:
        raise ValueError("no source of clouds is chosen")
    return Clouds(probability, combine(found))


def combine(found: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Return the largest CloudClass that any source gives each cell, IGNORE where none has data.

    Each source is u8 (rows, columns), CloudClass or IGNORE.
    """
    # One more than the code, so that no data, which becomes 0, loses to everything.
    best = np.maximum.reduce([codes + np.uint8(1) for codes in found])
    return np.asarray(best - np.uint8(1), np.uint8)


def cloud_mask(classes: NDArray[np.uint8], grid: CellGrid, block: Block) -> NDArray[np.bool_]:
    """Return which 10 m pixels of a block are under cloud or its shadow, (height, width) of `block`.

    A pixel is what its cell is. Where no source has data there is no cloud: pixels without data say so
    themselves.
    """
    return grid.pixels((classes != CloudClass.CLEAR) & (classes != IGNORE), block)


def _detected(
    probability: NDArray[np.float32], reflectance: Reflectances, settings: CloudSettings
) -> NDArray[np.uint8]:
    """Return OPAQUE where s2cloudless, guarded, sees cloud, else CLEAR; IGNORE without a probability."""
    believed = probability
    if settings.snow_guard is not None:
        snow = is_snow(reflectance, settings.snow_guard) & np.isfinite(probability)
        believed = np.where(snow, np.float32(0), probability)
    cloudy = flag_clouds(
        believed,
        threshold=settings.threshold,
        average=disk_radius(settings.average_over, settings.resolution),
        dilation=disk_radius(settings.dilation, settings.resolution),
    )
    classes = np.where(cloudy, np.uint8(CloudClass.OPAQUE), np.uint8(CloudClass.CLEAR))
    classes[np.isnan(probability)] = IGNORE
    return classes
