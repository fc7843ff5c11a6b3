"""Tags of a GeoTIFF, as GDAL, SNAP, Earth Engine exports and we write them: facts and calibration.

Names are compared without regard to case. The first tag of a list that says something understandable counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from math import isfinite
from typing import Final, NamedTuple, TypeVar

from labeling.bands import ProductType
from labeling.scenes.products.stacks.facts import (
    parse_baseline,
    parse_name,
    parse_time,
    parse_type,
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


def read_facts(tags: Mapping[str, str]) -> TagFacts:
    """Return what a file's tags say."""
    tags = _upper(tags)
    product_id = _first(tags, ("PRODUCT_URI", "PRODUCT_ID"), lambda text: text.removesuffix(".SAFE"))
    name = parse_name(product_id) if product_id else None
    datatake = _first(tags, ("DATATAKE_ID", "DATATAKE_IDENTIFIER", "DATATAKE_1_ID"), without_baseline)
    elevation = _first(tags, ("SUN_ELEVATION",), _number)
    zenith = _first(tags, ("SUN_ZENITH", "MEAN_SUN_ZENITH", "MEAN_SOLAR_ZENITH_ANGLE"), _number)
    orbit = _first(
        tags, ("RELATIVE_ORBIT", "SENSING_ORBIT_NUMBER", "DATATAKE_1_SENSING_ORBIT_NUMBER"), _number
    )
    return TagFacts(
        product_id=product_id,
        product_type=_first(tags, ("PRODUCT_TYPE", "PROCESSING_LEVEL"), parse_type)
        or (name.product_type if name else None),
        baseline=_first(tags, ("PROCESSING_BASELINE",), parse_baseline) or (name.baseline if name else None),
        sensing_time=_first(tags, _TIME, parse_time),
        relative_orbit=int(orbit) if orbit else (name.relative_orbit if name else None),
        acquisition=datatake or (name.acquisition if name else None),
        tile=_first(tags, ("TILE", "MGRS_TILE"), lambda text: text.removeprefix("T"))
        or (name.tile if name else None),
        sun_zenith=zenith if zenith is not None or elevation is None else 90 - elevation,
    )


def read_calibration(tags: Mapping[str, str], baseline: str | None) -> Calibration | None:
    """Return how tags of a band or file say that DN become reflectance; None where they leave it open.

    A quantification without an offset says enough only of a baseline that knew no offsets: older programs
    drop the offset when they convert a product, and keep the quantification.
    """
    tags = _upper(tags)
    quantification = _first(tags, _QUANTIFICATION, _number)
    offset = _first(tags, _OFFSET, _number)
    if offset is None and never_has_offset(baseline):
        offset = 0.0
    if quantification is None or quantification <= 0 or offset is None:
        return None
    return Calibration(quantification, offset)


def _upper(tags: Mapping[str, str]) -> dict[str, str]:
    return {name.upper(): text for name, text in tags.items()}


def _first(tags: Mapping[str, str], names: Iterable[str], read: Callable[[str], T | None]) -> T | None:
    found = (read(tags[name].strip()) for name in names if tags.get(name, "").strip())
    return next((value for value in found if value is not None), None)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) else None
