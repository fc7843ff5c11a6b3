"""What people call a Sentinel-2 band, and which band they mean."""

from __future__ import annotations

import re
from typing import Final

from labeling.bands import Band

COMMON_NAMES: Final[dict[Band, str]] = {
    Band.B01: "coastal",
    Band.B02: "blue",
    Band.B03: "green",
    Band.B04: "red",
    Band.B05: "rededge1",
    Band.B06: "rededge2",
    Band.B07: "rededge3",
    Band.B08: "nir",
    Band.B8A: "nir08",
    Band.B09: "nir09",
    Band.B10: "cirrus",
    Band.B11: "swir16",
    Band.B12: "swir22",
}
"""Names of the STAC extension eo as Earth Search uses them, one for each band."""

_BY_NAME: Final = {name: band for band, name in COMMON_NAMES.items()} | {
    "swir1": Band.B11,
    "swir2": Band.B12,
}
_CODE: Final = re.compile(r"B0?(?P<number>1[0-2]|8A|[1-9])(?![0-9A-Z])", re.IGNORECASE)


def band_named(text: str) -> Band | None:
    """Return the band that a description names; None where it names none.

    Either it begins with the band's code, whatever follows ("B04", "b4", "B8A", "B08 - NIR", "B04_10m",
    "B4, central wavelength 665 nm" as GDAL writes), or all of it is a common name ("Red", "nir08",
    "Red Edge 1", "SWIR1"). Upper and lower case are the same.
    """
    code = _CODE.match(text.strip())
    if code is not None:
        return Band(f"B{code['number'].upper():0>2}")
    return _BY_NAME.get(re.sub(r"[\s_-]", "", text).lower())
