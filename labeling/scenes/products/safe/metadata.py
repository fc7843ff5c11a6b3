"""What the XML of a Sentinel-2 product says: where, when, and how its numbers become reflectance.

Two files are read: the product's (`MTD_MSIL1C.xml`, `MTD_MSIL2A.xml`) and the granule's (`MTD_TL.xml`).
Elements are found by local name, because every baseline brought its own namespace. Element names are those
of the Sentinel-2 Products Specification Document; second names are of early L2A products.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from affine import Affine
from rasterio.crs import CRS
from rasterio.errors import CRSError

from labeling.bands import BANDS, NODATA_DN, SATURATED_DN, Band, ProductType, Radiometry
from labeling.scenes.contract.product import AZIMUTHS, GRID, ORBITS, VIEW_ZENITHS, ZENITHS, View
from labeling.scenes.products.safe.document import Document
from labeling.scenes.products.safe.xml import local

_OFFSET_BASELINES: Final = range(400, 9900)
"""Baselines (x 100) whose XML must state offsets; 99.99 is the mark of products a user made with Sen2Cor."""

_TYPES: Final[dict[str, ProductType]] = {"S2MSI1C": "L1C", "S2MSI2A": "L2A", "S2MSI2Ap": "L2A"}
_OFFSET_ELEMENTS: Final[dict[ProductType, str]] = {"L1C": "RADIO_ADD_OFFSET", "L2A": "BOA_ADD_OFFSET"}
_QUANTIFICATION_ELEMENTS: Final[dict[ProductType, tuple[str, ...]]] = {
    "L1C": ("QUANTIFICATION_VALUE",),
    "L2A": ("BOA_QUANTIFICATION_VALUE", "L2A_BOA_QUANTIFICATION_VALUE"),
}
_QUANTIFICATIONS: Final = (1000, 100_000)
_OFFSETS: Final = (-10_000, 10_000)
_LARGEST_SIDE: Final = 100_000
_FARTHEST: Final = 1e8
"""What figures lie between, whatever the product: all real ones have 10000, -1000 or 0, and 10980."""

_BAND_IDS: Final = {str(number): band for number, band in enumerate(Band)}
_IMAGE_ELEMENTS: Final = frozenset({"IMAGE_FILE", "IMAGE_ID", "IMAGE_FILE_2A", "IMAGE_ID_2A"})


@dataclass(frozen=True)
class SafeMetadata:
    """What a product says about itself. It can be pickled."""

    product_id: str
    """Name of the product without `.SAFE`."""
    product_type: ProductType
    baseline: str
    """Processing baseline, for example "05.00"; for the record only, never a source of offsets."""
    sensing_time: datetime
    """When the granule was observed, UTC."""
    relative_orbit: int
    """1..143."""
    datatake: str
    """Identifier as written, for example "GS2A_20191103T203901_022802_N02.08"."""
    tile: str
    """MGRS tile, for example "58CDU"."""
    sun_zenith: float | None
    """Mean over the granule in degrees: 0 overhead, 90 at the horizon; None where the product has none."""
    sun_azimuth: float | None
    """Mean over the granule in degrees, from north over east; None where the product has none."""
    views: Mapping[Band, View]
    """Where the satellite stood for each band, as far as the product says."""
    unit: str
    """The satellite: A, B or C."""
    crs: CRS
    transform: Affine
    """From (column, row) of the 10 m grid to coordinates."""
    height: int
    """Pixels of 10 m."""
    width: int
    """Pixels of 10 m."""
    radiometry: Radiometry
    image_files: tuple[str, ...]
    """Images as listed, for the record: files are found by looking, not by these names."""

    @property
    def acquisition(self) -> str:
        """The datatake without its baseline: equal for every granule, level and reprocessing of one pass."""
        return re.sub(r"_N\d\d\.\d\d$", "", self.datatake)


def parse_metadata(product_xml: bytes, granule_xml: bytes, *, where: str) -> SafeMetadata:
    """Read both XML files of the product at `where`, a name for messages.

    Raises SceneError for XML that is damaged, carries a DTD or entities, lacks an element, or contradicts
    itself: a baseline that promises offsets without any is refused rather than read wrongly.
    """
    product = Document(product_xml, f"the product XML of {where}")
    granule = Document(granule_xml, f"the granule XML (MTD_TL.xml) of {where}")
    product_type = product.choice("PRODUCT_TYPE", _TYPES)
    baseline = product.match(r"(\d\d\.\d\d)", "PROCESSING_BASELINE")
    return SafeMetadata(
        product_id=product.text("PRODUCT_URI", "PRODUCT_URI_2A").removesuffix(".SAFE"),
        product_type=product_type,
        baseline=baseline,
        sensing_time=granule.time("SENSING_TIME"),
        relative_orbit=int(product.number("SENSING_ORBIT_NUMBER", within=(1, ORBITS))),
        datatake=product.attribute("Datatake", "datatakeIdentifier"),
        tile=granule.match(r".*_T(\d\d[A-Z]{3})(?:_.*)?", "TILE_ID", "TILE_ID_2A"),
        sun_zenith=granule.known("ZENITH_ANGLE", granule.one("Mean_Sun_Angle"), ZENITHS),
        sun_azimuth=granule.known("AZIMUTH_ANGLE", granule.one("Mean_Sun_Angle"), AZIMUTHS),
        views=_views(granule),
        unit=product.match(r"G?S2([A-D])_.*", "PRODUCT_URI", "PRODUCT_URI_2A"),
        crs=_crs(granule),
        transform=_transform(granule),
        height=_pixels(granule, "NROWS"),
        width=_pixels(granule, "NCOLS"),
        radiometry=_radiometry(product, product_type, baseline),
        image_files=tuple(e.text or "" for e in product.all() if local(e.tag) in _IMAGE_ELEMENTS),
    )


def _views(granule: Document) -> dict[Band, View]:
    """Return the mean viewing angles; not every program that writes products keeps them for all bands."""
    views = {}
    for item in granule.all("Mean_Viewing_Incidence_Angle"):
        zenith = granule.known("ZENITH_ANGLE", item, VIEW_ZENITHS)
        azimuth = granule.known("AZIMUTH_ANGLE", item, AZIMUTHS)
        number = item.get("bandId", "")
        if number in _BAND_IDS and zenith is not None and azimuth is not None:
            views[_BAND_IDS[number]] = View(zenith, azimuth)
    return views


def _crs(granule: Document) -> CRS:
    code = granule.text("HORIZONTAL_CS_CODE")
    try:
        # Nothing but a code: GDAL fetches what looks like an address, and reads what looks like a file.
        crs = CRS.from_epsg(code.upper().removeprefix("EPSG:"))
    except (CRSError, ValueError):
        raise granule.error(f"HORIZONTAL_CS_CODE '{code}' is no known coordinate system") from None
    if not crs.is_projected or crs.linear_units_factor[1] != 1:
        raise granule.error(f"HORIZONTAL_CS_CODE '{code}' is no coordinate system in metres")
    return crs


def _pixels(granule: Document, name: str) -> int:
    """Return the rows or columns of the 10 m grid."""
    return int(granule.number(name, inside=granule.one("Size", resolution="10"), within=(1, _LARGEST_SIDE)))


def _transform(granule: Document) -> Affine:
    position = granule.one("Geoposition", resolution="10")
    a, c, e, f = (
        granule.number(name, inside=position, within=(-_FARTHEST, _FARTHEST))
        for name in ("XDIM", "ULX", "YDIM", "ULY")
    )
    if (a, e) != (GRID, -GRID):
        raise granule.error(f"its pixels of 10 m measure {a:g} x {-e:g} m")
    return Affine(a, 0.0, c, 0.0, e, f)


def _radiometry(product: Document, product_type: ProductType, baseline: str) -> Radiometry:
    for name, expected in (("NODATA", NODATA_DN), ("SATURATED", SATURATED_DN)):
        for special in product.all("Special_Values"):
            stated = product.number("SPECIAL_VALUE_INDEX", inside=special)
            if product.text("SPECIAL_VALUE_TEXT", inside=special) == name and stated != expected:
                raise product.error(f"the special value {name} is {stated:g}, and only {expected} is known")
    quantification = product.number(*_QUANTIFICATION_ELEMENTS[product_type], within=_QUANTIFICATIONS)
    return Radiometry(quantification, _offsets(product, product_type, baseline))


def _offsets(product: Document, product_type: ProductType, baseline: str) -> dict[Band, int]:
    """Return the offset of every band of the product: all stated, or none stated and all 0."""
    element, bands = _OFFSET_ELEMENTS[product_type], BANDS[product_type]
    stated: dict[Band, int] = {}
    for item in product.all(element):
        number = item.get("band_id", "")
        if number not in _BAND_IDS:
            raise product.error(f"{element} has band_id '{number}', not one of 0..12")
        stated[_BAND_IDS[number]] = int(product.value(item, _OFFSETS))
    if not stated:
        if round(float(baseline) * 100) in _OFFSET_BASELINES:
            raise product.error(f"baseline {baseline} comes with {element}, and there is none")
        return dict.fromkeys(bands, 0)
    missing = [band for band in bands if band not in stated]
    if missing:
        raise product.error(f"{element} is stated for some bands, but not for {', '.join(missing)}")
    return {band: stated[band] for band in bands}
