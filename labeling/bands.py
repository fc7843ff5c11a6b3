"""Sentinel-2 bands, named once: order, resolution, which product has them, and how DN become reflectance.

Source: Sentinel-2 Products Specification Document (resolutions, `band_id` order, special values).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

ProductType = Literal["L1C", "L2A"]
"""L1C: top of atmosphere. L2A: surface, after atmospheric correction."""

NODATA_DN: Final = 0
"""DN of a pixel that was not observed."""

SATURATED_DN: Final = 65535
"""DN of a pixel brighter than the instrument can measure."""


class Band(StrEnum):
    """A spectral band. The order of definition is the products' own: `band_id` 0 is B01, 12 is B12."""

    B01 = "B01"
    B02 = "B02"
    B03 = "B03"
    B04 = "B04"
    B05 = "B05"
    B06 = "B06"
    B07 = "B07"
    B08 = "B08"
    B8A = "B8A"
    B09 = "B09"
    B10 = "B10"
    B11 = "B11"
    B12 = "B12"

    @property
    def resolution(self) -> int:
        """Side of a native pixel in metres: 10, 20 or 60."""
        return _RESOLUTIONS[self]


RED: Final = Band.B04
GREEN: Final = Band.B03
BLUE: Final = Band.B02

_RESOLUTIONS: Final[dict[Band, int]] = {
    **dict.fromkeys((Band.B02, Band.B03, Band.B04, Band.B08), 10),
    **dict.fromkeys((Band.B05, Band.B06, Band.B07, Band.B8A, Band.B11, Band.B12), 20),
    **dict.fromkeys((Band.B01, Band.B09, Band.B10), 60),
}

BANDS: Final[dict[ProductType, tuple[Band, ...]]] = {
    "L1C": tuple(Band),
    # B10 sees cirrus, not the surface, so the atmospheric correction leaves it out.
    "L2A": tuple(band for band in Band if band is not Band.B10),
}
"""Bands of each product type, in the order of `band_id`: 13 of L1C, 12 of L2A."""


@dataclass(frozen=True)
class Radiometry:
    """How the DN of one product become reflectance: (DN + offset of the band) / quantification."""

    quantification: float
    """DN per unit of reflectance, 10000 in every product so far."""
    offsets: Mapping[Band, int]
    """DN added before the division, one for each band of the product; 0 where the product states none."""

    def reflectance(self, dn: NDArray[np.uint16], band: Band) -> NDArray[np.float32]:
        """Return the reflectance of one band's DN, any shape; NaN where DN is 0. See `to_reflectance`."""
        return to_reflectance(dn, self.offsets[band], self.quantification)


def to_reflectance(dn: NDArray[np.uint16], offset: int, quantification: float) -> NDArray[np.float32]:
    """Return (dn + offset) / quantification as float32 of the same shape, and NaN where `dn` is 0.

    The mask is taken from the DN as stored, before the offset: DN 1 with offset -1000 is a valid, slightly
    negative reflectance, and DN 1000 is a valid 0.0. Dark water has such values. Saturated pixels (65535)
    get the reflectance of that DN; it is a lower bound only.
    """
    if dn.dtype != np.uint16:
        raise ValueError(f"DN are uint16, not {dn.dtype}")
    # float32 holds every u16 DN plus offset exactly, and has a sign.
    values = np.asarray((dn.astype(np.float32) + np.float32(offset)) / np.float32(quantification))
    values[dn == NODATA_DN] = np.nan
    return values
