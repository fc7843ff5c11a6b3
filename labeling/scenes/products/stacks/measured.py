"""From what a raster stores to reflectance, and which of its pixels count. Arrays in, arrays out."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labeling.bands import NODATA_DN, SATURATED_DN
from labeling.scenes.contract.resample import Measured

DTYPES: Final = ("uint16", "int16", "float32", "float64")
"""What a band may be stored as."""

_FIRST_OFFSET: Final = "04.00"
"""Processing baseline that brought offsets; what came before it never carries one."""


_FINEST: Final = 1e6
"""Steps per unit of reflectance, at most; u16 over 0..1 has 65535."""


class Calibration(NamedTuple):
    """reflectance = (stored + offset) / quantification."""

    quantification: float
    """Stored steps per unit of reflectance, above 0: 10000 for DN, 1 for reflectance itself."""
    offset: float
    """Steps added before the division: -1000 or 0 for DN, 0 for reflectance itself."""

    @classmethod
    def of_scale(cls, scale: float, offset: float) -> Calibration:
        """Return the same as reflectance = stored * scale + offset, the form of GDAL and STAC."""
        return cls(1 / scale, offset / scale)

    def is_possible(self) -> bool:
        """Tell whether any product is stored so: not with steps of 10, nor with an offset far from zero."""
        return 1 <= self.quantification <= _FINEST and abs(self.offset) <= self.quantification


def is_dn(dtype: str) -> bool:
    """Tell whether rasters of this type store DN; floating point is reflectance."""
    return np.issubdtype(np.dtype(dtype), np.integer)


def never_has_offset(baseline: str | None) -> bool:
    """Tell whether DN of a processing baseline ("02.08") carry no offset, because there was none yet."""
    return baseline is not None and baseline < _FIRST_OFFSET


def measure(stored: NDArray[Any], calibration: Calibration, nodata: float | None) -> Measured:
    """Return the reflectance of stored values (height, width), u16, i16 or floating point.

    Pixels of the value `nodata` are not valid; None stands for 0 in DN and for nothing in floating point,
    where NaN and infinity are never valid. u16 65535 is saturated. The mask is taken from what is stored,
    before the offset: with an offset of -1000, DN 1 is a valid, slightly negative reflectance.
    """
    if nodata is None and is_dn(stored.dtype.name):
        nodata = NODATA_DN
    valid = np.isfinite(stored)
    if nodata is not None:
        valid &= stored != nodata
    saturated = valid & (stored == SATURATED_DN) if stored.dtype == np.uint16 else np.zeros_like(valid)
    # In the order of `labeling.bands.to_reflectance`, so that equal DN give equal bits whatever holds them.
    steps = stored.astype(np.float32) + np.float32(calibration.offset)
    values = steps / np.float32(calibration.quantification)
    return Measured(np.where(valid, values, np.float32(np.nan)), valid, saturated)
