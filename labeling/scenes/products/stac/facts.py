"""What the properties of a STAC item say about a product, whatever catalogue wrote them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import asin, degrees, radians, sin
from typing import Any, Final, TypeVar

from labeling.bands import ProductType
from labeling.errors import SceneError
from labeling.files.uri import shown
from labeling.scenes.contract.product import AZIMUTHS, ELEVATIONS, VIEW_ZENITHS, ZENITHS
from labeling.scenes.products.stac.item import Found, Item
from labeling.scenes.products.stacks.facts import (
    Grid,
    ProductName,
    RasterFacts,
    parse_baseline,
    parse_name,
    parse_orbit,
    parse_time,
    parse_type,
    parse_unit,
    parse_within,
    same_view,
    without_baseline,
)

_SUN_AZIMUTH: Final = ("s2:mean_solar_azimuth", "view:sun_azimuth")
_VIEW_AZIMUTH: Final = ("view:azimuth", "s2:mean_incidence_azimuth")
_ORBIT: Final = (6371 + 786) / 6371
"""Radius of Sentinel-2's orbit in that of the Earth."""

_MISSION: Final = "sentinel-2"
_TYPE_KEYS: Final = ("s2:product_type", "product:type", "processing:level")

T = TypeVar("T")


def check_mission(found: Found) -> None:
    """Raise SceneError for an item that does not say, or not only, that it is of Sentinel-2."""
    properties = found.item.properties
    names = [properties.get("constellation"), properties.get("platform")]
    said = [str(name) for name in names if name] or [found.item.collection or ""]
    if not all(name.lower().startswith(_MISSION) for name in said):
        raise SceneError(
            f"item {found.item.id} of {shown(found.location)} is of "
            f"{' and '.join(said) or 'no mission it names'}: looked for sentinel-2 in its constellation, "
            "platform or collection. Give items of Sentinel-2."
        )


def baseline_of(item: Item) -> str | None:
    """Return the processing baseline; where no property states it, it is in the product's name."""
    names = ("s2:processing_baseline", "processing:version", "sentinel:processing_baseline")
    name = _name(item)
    return _first(item, names, parse_baseline) or (name.baseline if name else None)


def read_facts(item: Item, grid: Grid) -> RasterFacts:
    """Return the facts of an item whose images lie on `grid`; None where nothing says."""
    name = _name(item)
    return RasterFacts(
        product_id=_first(item, ("s2:product_uri",), _without_suffix) or item.id,
        product_type=_product_type(item, name),
        baseline=baseline_of(item),
        sensing_time=_first(item, ("datetime", "start_datetime"), parse_time),
        relative_orbit=_first(item, ("sat:relative_orbit",), parse_orbit)
        or (name.relative_orbit if name else None),
        acquisition=_acquisition(item, name),
        tile=_tile(item.properties) or (name.tile if name else None),
        sun_zenith=_sun_zenith(item),
        sun_azimuth=_first(item, _SUN_AZIMUTH, parse_within(AZIMUTHS)),
        views=same_view(_view_zenith(item), _first(item, _VIEW_AZIMUTH, parse_within(AZIMUTHS))),
        unit=_first(item, ("platform",), parse_unit) or (name.unit if name else None),
        **grid._asdict(),
    )


def _product_type(item: Item, name: ProductName | None) -> ProductType | None:
    """Return the type; CDSE's `processing:level` "L2" leaves it open, its `product:type` does not."""
    for text in (*(item.properties.get(key) for key in _TYPE_KEYS), item.collection):
        stated = parse_type(str(text or ""))
        if stated is not None:
            return stated
    return name.product_type if name else None


def _acquisition(item: Item, name: ProductName | None) -> str:
    """Return the datatake, or else what a pass and nothing else has: satellite, day and orbit."""
    datatake = _first(item, ("s2:datatake_id", "eopf:datatake_id"), without_baseline)
    if datatake:
        return datatake
    if name:
        return name.acquisition
    time = _first(item, ("datetime", "start_datetime"), parse_time)
    orbit = _first(item, ("sat:relative_orbit",), parse_orbit)
    if time is None or orbit is None:
        return item.id
    return f"{item.properties.get('platform') or _MISSION}_{time:%Y%m%d}_R{orbit:03}"


def _tile(properties: Mapping[str, Any]) -> str | None:
    parts = [str(properties.get(f"mgrs:{part}", "")) for part in ("utm_zone", "latitude_band", "grid_square")]
    for text in (properties.get("s2:mgrs_tile"), properties.get("grid:code"), "".join(parts)):
        match = re.fullmatch(r"(?:MGRS-|T)?(\d{1,2})([A-Z]{3})", str(text))
        if match is not None:
            return f"{match[1]:0>2}{match[2]}"
    return None


def _sun_zenith(item: Item) -> float | None:
    elevation = _first(item, ("view:sun_elevation",), parse_within(ELEVATIONS))
    zenith = _first(item, ("s2:mean_solar_zenith",), parse_within(ZENITHS))
    return zenith if zenith is not None or elevation is None else 90 - elevation


def _view_zenith(item: Item) -> float | None:
    """Return the angle seen from the ground; `view:off_nadir` is that seen from the satellite."""
    zenith = _first(item, ("view:incidence_angle", "s2:mean_incidence_zenith"), parse_within(VIEW_ZENITHS))
    off_nadir = _first(item, ("view:off_nadir",), parse_within(VIEW_ZENITHS))
    if zenith is not None or off_nadir is None:
        return zenith
    return degrees(asin(min(1.0, sin(radians(off_nadir)) * _ORBIT)))


def _name(item: Item) -> ProductName | None:
    """Return what the product's name says; CDSE's and Planetary Computer's ids are nearly that name."""
    stated = _first(item, ("s2:product_uri",), _without_suffix)
    return parse_name(stated or item.id)


def _without_suffix(text: str) -> str:
    return text.removesuffix(".SAFE")


def _first(item: Item, names: tuple[str, ...], read: Callable[[str], T | None]) -> T | None:
    """Return the first of some properties that is there and can be understood."""
    for name in names:
        text = item.properties.get(name)
        if text is None:
            continue
        try:
            value = read(str(text))
        except ValueError:
            continue
        if value is not None:
            return value
    return None
