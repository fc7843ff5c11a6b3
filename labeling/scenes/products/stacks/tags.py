"""Tags of a GeoTIFF, as GDAL, SNAP, Earth Engine exports and we write them: facts and calibration.

Names are compared without regard to case. The first tag of a list that says something understandable counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final, NamedTuple, TypeVar

from labeling.bands import Band, ProductType
from labeling.scenes.contract.product import AZIMUTHS, ELEVATIONS, VIEW_ZENITHS, ZENITHS, View
from labeling.scenes.products.stacks.facts import (
    parse_baseline,
    parse_name,
    parse_number,
    parse_orbit,
    parse_time,
    parse_type,
    parse_unit,
    parse_within,
    same_view,
    without_baseline,
)
from labeling.scenes.products.stacks.measured import Calibration, never_has_offset

_QUANTIFICATION: Final = ("QUANTIFICATION_VALUE", "BOA_QUANTIFICATION_VALUE")
_OFFSET: Final = ("RADIO_ADD_OFFSET", "BOA_ADD_OFFSET")
# TIFFTAG_DATETIME comes last: many programs put the time of writing there.
_TIME: Final = (
    "SENSING_TIME",
    "ACQUISITION_DATE",
    "DATATAKE_1_DATATAKE_SENSING_START",
    "PRODUCT_START_TIME",
    "DATETIME",
    "TIFFTAG_DATETIME",
)

T = TypeVar("T")


class TagFacts(NamedTuple):
    """What tags say about a product; None where they say nothing. See `ProductFacts`."""

    product_id: str | None
    product_type: ProductType | None
    baseline: str | None
    sensing_time: datetime | None
    relative_orbit: int | None
    acquisition: str | None
    tile: str | None
    sun_zenith: float | None
    sun_azimuth: float | None
    views: dict[Band, View]
    unit: str | None


def read_facts(tags: Mapping[str, str]) -> TagFacts:
    """Return what a file's tags say."""
    tags = _upper(tags)
    product_id = _first(tags, ("PRODUCT_URI", "PRODUCT_ID"), lambda text: text.removesuffix(".SAFE"))
    name = parse_name(product_id) if product_id else None
    datatake = _first(tags, ("DATATAKE_ID", "DATATAKE_IDENTIFIER", "DATATAKE_1_ID"), without_baseline)
    elevation = _first(tags, ("SUN_ELEVATION",), parse_within(ELEVATIONS))
    zeniths = ("SUN_ZENITH", "MEAN_SUN_ZENITH", "MEAN_SOLAR_ZENITH_ANGLE")
    zenith = _first(tags, zeniths, parse_within(ZENITHS))
    orbits = ("RELATIVE_ORBIT", "SENSING_ORBIT_NUMBER", "DATATAKE_1_SENSING_ORBIT_NUMBER")
    orbit = _first(tags, orbits, parse_orbit)
    return TagFacts(
        product_id=product_id,
        product_type=_first(tags, ("PRODUCT_TYPE", "PROCESSING_LEVEL"), parse_type)
        or (name.product_type if name else None),
        baseline=_first(tags, ("PROCESSING_BASELINE",), parse_baseline) or (name.baseline if name else None),
        sensing_time=_first(tags, _TIME, parse_time),
        relative_orbit=orbit or (name.relative_orbit if name else None),
        acquisition=datatake or (name.acquisition if name else None),
        tile=_first(tags, ("TILE", "MGRS_TILE"), lambda text: text.removeprefix("T"))
        or (name.tile if name else None),
        sun_zenith=zenith if zenith is not None or elevation is None else 90 - elevation,
        sun_azimuth=_first(
            tags, ("SUN_AZIMUTH", "MEAN_SUN_AZIMUTH", "MEAN_SOLAR_AZIMUTH_ANGLE"), parse_within(AZIMUTHS)
        ),
        views=_views(tags),
        unit=_first(tags, ("SPACECRAFT_NAME", "DATATAKE_1_SPACECRAFT_NAME", "PLATFORM"), parse_unit)
        or (name.unit if name else None),
    )


def _views(tags: Mapping[str, str]) -> dict[Band, View]:
    """Return the viewing angles: one pair for all bands, or one a band as Earth Engine has them."""
    kinds = (("ZENITH", VIEW_ZENITHS), ("AZIMUTH", AZIMUTHS))
    views = same_view(*(_first(tags, (f"VIEW_{kind}",), parse_within(bounds)) for kind, bounds in kinds))
    for band in Band:
        name = str(band).replace("B0", "B")
        zenith, azimuth = (
            _first(tags, (f"MEAN_INCIDENCE_{kind}_ANGLE_{name}",), parse_within(bounds))
            for kind, bounds in kinds
        )
        if zenith is not None and azimuth is not None:
            views[band] = View(zenith, azimuth)
    return views


def read_calibration(tags: Mapping[str, str], baseline: str | None) -> Calibration | None:
    """Return how tags of a band or file say that DN become reflectance; None where they leave it open.

    A quantification without an offset says enough only of a baseline that knew no offsets: older programs
    drop the offset when they convert a product, and keep the quantification.
    """
    tags = _upper(tags)
    quantification = _first(tags, _QUANTIFICATION, parse_number)
    offset = _first(tags, _OFFSET, parse_number)
    if offset is None and never_has_offset(baseline):
        offset = 0.0
    if quantification is None or quantification <= 0 or offset is None:
        return None
    return Calibration(quantification, offset)


def read_scale(tags: Mapping[str, str]) -> Calibration | None:
    """Return what tags of ours, which people set who were asked to, say of any type; None without a scale."""
    tags = _upper(tags)
    scale = _first(tags, ("REFLECTANCE_SCALE",), parse_number)
    offset = _first(tags, ("REFLECTANCE_OFFSET",), parse_number)
    return Calibration.of_scale(scale, offset or 0.0) if scale is not None and scale > 0 else None


def _upper(tags: Mapping[str, str]) -> dict[str, str]:
    return {name.upper(): text for name, text in tags.items()}


def _first(tags: Mapping[str, str], names: Iterable[str], read: Callable[[str], T | None]) -> T | None:
    found = (read(tags[name].strip()) for name in names if tags.get(name, "").strip())
    return next((value for value in found if value is not None), None)
