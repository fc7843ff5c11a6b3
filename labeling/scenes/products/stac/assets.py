"""Which asset of a STAC item is which band, where it is, and how its DN become reflectance.

Names of assets: Earth Search ("red"), Planetary Computer ("B04"), Copernicus Data Space, CDSE ("B04_10m";
coarser copies such as "B04_20m" are not the measurement).

Catalogues differ in what they say of the offset that DN carry since baseline 04.00:

  Earth Search    scale and offset of each asset. In sentinel-2-l2a the offset has been subtracted from the
                  pixels of many items, whose assets state it all the same: `earthsearch:boa_offset_applied`
                  is what to believe (Element84/earth-search issue 9; issues 66 and 71 list items of 2022 and
                  2025 where it is wrong, which nothing in an item shows: sentinel-2-c1-l2a is not affected).
                  Its "red-jp2" and so on are as delivered, and not read
  CDSE            scale and offset of each asset; DN as delivered
  Planetary       neither; DN as delivered, offset included (planetarycomputer.microsoft.com/dataset/
  Computer        sentinel-2-l2a, "Baseline Change"; microsoft/PlanetaryComputer issue 134). Its items link
                  the product's own XML, which states the offset of each band
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any, Final

from labeling.bands import Band
from labeling.errors import SceneError
from labeling.files.fetch import fetch
from labeling.files.links import linked
from labeling.files.uri import shown
from labeling.scenes.products.safe.files import LARGEST_XML
from labeling.scenes.products.safe.metadata import parse_metadata
from labeling.scenes.products.stac.item import Asset, Found, Item, Scaling
from labeling.scenes.products.stacks.measured import DTYPES, Calibration, is_dn, never_has_offset
from labeling.scenes.products.stacks.names import COMMON_NAMES
from labeling.scenes.products.stacks.rasters import BandRaster, LayerRaster

BAND_KEYS: Final = {
    band: (str(band), f"{band}_{band.resolution}m", common) for band, common in COMMON_NAMES.items()
}
"""Keys under which a band's asset is looked for."""

LAYER_KEYS: Final = {"SCL": ("SCL", "scl", "SCL_20m"), "TCI": ("visual", "TCI", "TCI_10m")}
"""The same for rasters of codes, and for the true-colour image."""

SCALE: Final = 0.0001
"""Reflectance of one DN, in every product so far."""

MOST_COPIES: Final = 3
"""Further places of an asset that are tried, each for as long as a server may keep us waiting."""

_XML_KEYS: Final = (("product-metadata", "granule-metadata"), ("product_metadata", "granule_metadata"))


def find_bands(found: Found, baseline: str | None) -> dict[Band, BandRaster]:
    """Return where the bands of an item are and what their values mean, in the order of `Band`.

    Raises SceneError when it has none, or leaves open how DN become reflectance.
    """
    item = found.item
    assets = {band: asset for band, keys in BAND_KEYS.items() if (asset := _first(item, keys)) is not None}
    if not assets and (visual := _first(item, LAYER_KEYS["TCI"])) is not None:
        raise SceneError(
            f"item {item.id} of {shown(found.location)} has a true-colour image ({shown(visual.href)}) and "
            "no bands. Such an image is white from reflectance 0.2 (L2A) or 0.3558 (L1C) on, grey ice and "
            "snow alike, so no brightness parts thin ice from thick. Give items with the assets red, green "
            "and blue, or B04, B03 and B02."
        )
    if not assets:
        raise SceneError(
            f"item {item.id} of {shown(found.location)} has no band: looked for assets "
            f"{', '.join('/'.join(keys) for keys in BAND_KEYS.values())}; there are {_listed(item.assets)}."
        )
    calibrations = _calibrate(found, assets, baseline)
    for band, calibration in calibrations.items():
        if not calibration.is_possible():
            raise SceneError(
                f"item {item.id} of {shown(found.location)} states {calibration.quantification:g} steps per "
                f"unit of reflectance and an offset of {calibration.offset:g} steps for {band}, which no "
                'product has. State what is true of its pixels, as in "raster:bands": [{"scale": 0.0001, '
                '"offset": -0.1}].'
            )
    return {
        band: _raster(assets[band], found.location, calibration) for band, calibration in calibrations.items()
    }


def find_layers(found: Found) -> dict[str, LayerRaster]:
    """Return where the rasters of codes of an item are, by the name of the layer."""
    assets = {layer: _first(found.item, keys) for layer, keys in LAYER_KEYS.items()}
    return {
        layer: LayerRaster(_places(asset, found.location))
        for layer, asset in assets.items()
        if asset is not None
    }


def xml_places(found: Found) -> list[str]:
    """Return where the XML of the product is that an item links, which may state what its DN mean."""
    assets = (found.item.assets.get(key) for keys in _XML_KEYS for key in keys)
    return [_places(asset, found.location)[0] for asset in assets if asset is not None]


def explain_absence(found: Found, band: Band) -> str:
    """Return what was looked for where a band is missing, and what there is."""
    return f"looked for assets {', '.join(BAND_KEYS[band])}; there are {_listed(found.item.assets)}"


def _raster(asset: Asset, location: str, calibration: Calibration) -> BandRaster:
    return BandRaster(_places(asset, location), 1, calibration, _nodata(asset), _dtypes(asset))


def _calibrate(found: Found, assets: Mapping[Band, Asset], baseline: str | None) -> dict[Band, Calibration]:
    applied = _offset_applied(found.item.properties)
    stated = {band: _stated(asset, baseline, applied=applied) for band, asset in assets.items()}
    known = {band: calibration for band, calibration in stated.items() if calibration is not None}
    return known if len(known) == len(assets) else _calibration_of_xml(found, assets, baseline)


def _stated(asset: Asset, baseline: str | None, *, applied: bool) -> Calibration | None:
    """Return what an item says about an asset; None where it leaves it open or contradicts itself."""
    scale, offset = _value(asset, "scale"), _value(asset, "offset")
    if scale is None and not is_dn(_dtypes(asset)[0]):
        return Calibration(1.0, 0.0)
    scale = SCALE if scale is None else scale
    if scale <= 0:
        return None
    if applied:
        return Calibration.of_scale(scale, 0.0)
    if never_has_offset(baseline):
        return None if offset else Calibration.of_scale(scale, 0.0)
    return None if offset is None else Calibration.of_scale(scale, offset)


def _calibration_of_xml(
    found: Found, assets: Mapping[Band, Asset], baseline: str | None
) -> dict[Band, Calibration]:
    for keys in _XML_KEYS:
        if all(key in found.item.assets for key in keys):
            product, granule = (
                fetch(_places(found.item.assets[key], found.location)[0], LARGEST_XML).content for key in keys
            )
            radiometry = parse_metadata(product, granule, where=f"item {found.item.id}").radiometry
            steps, offsets = radiometry.quantification, radiometry.offsets
            return {band: Calibration(steps, offsets[band]) for band in assets if band in offsets}
    raise SceneError(
        f"item {found.item.id} of {shown(found.location)} leaves open how its DN become reflectance: looked "
        "for scale and offset in raster:bands or bands of its assets, for a property …:boa_offset_applied, "
        f"and for the product's XML as assets {' and '.join(_XML_KEYS[0])}; its baseline is "
        f"{baseline or 'not stated'}. Add to each band's asset what is true of its pixels: "
        '"raster:bands": [{"scale": 0.0001, "offset": -0.1}] where DN carry the offset of baseline 04.00 and '
        'later, "offset": 0 where they do not.'
    )


def _offset_applied(properties: Mapping[str, Any]) -> bool:
    """Tell whether the offset is said to be subtracted: a property of `earthsearch`, formerly `sentinel`."""
    return any(value is True for key, value in properties.items() if key.endswith(":boa_offset_applied"))


def _sources(asset: Asset) -> Iterable[Scaling]:
    """Yield who may speak of an asset's only band, the nearest to it first."""
    return (*asset.raster_bands[:1], *asset.bands[:1], asset)


def _value(asset: Asset, name: str) -> float | None:
    for source in _sources(asset):
        for value in (getattr(source, f"raster_{name}"), getattr(source, name)):
            if value is not None:
                return float(value)
    return None


def _nodata(asset: Asset) -> float | None:
    """Return the no-data value that is stated as a number ("nan" needs no saying)."""
    values = (source.nodata for source in _sources(asset))
    return next((value for value in values if isinstance(value, float)), None)


def _dtypes(asset: Asset) -> tuple[str, ...]:
    """Return the types its raster may have: without a word, those of DN, because the scale is that of DN."""
    stated = next((source.data_type for source in _sources(asset) if source.data_type in DTYPES), None)
    if stated is not None:
        return (stated,)
    return DTYPES if _value(asset, "scale") is not None else tuple(name for name in DTYPES if is_dn(name))


def _places(asset: Asset, location: str) -> tuple[str, ...]:
    """Return where an asset's file is, then its first copies elsewhere that can be read from here."""
    places = [linked(location, asset.href)]
    for copy in islice(asset.alternate.values(), MOST_COPIES):
        with suppress(SceneError):
            places.append(linked(location, copy.href))
    return tuple(places)


def _first(item: Item, keys: Iterable[str]) -> Asset | None:
    return next((item.assets[key] for key in keys if key in item.assets), None)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
