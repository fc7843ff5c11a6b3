"""Quality masks of a written product: which detector saw a pixel, and the polygons of old baselines in GML.

Structure and names of the GML are those of real products: in MSK_CLOUDS the features OPAQUE.0, CIRRUS.0, …
with flat coordinates, in MSK_DETFOO detector_footprint-B02-05-0, … with a height of 0 to each; an empty mask
has an empty `eop:maskMembers` and no envelope.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import shapes

from labeling.bands import NODATA_DN, Band
from labeling.scenes.contract.product import GRID
from labeling.simulation.safe.spec import ProductSpec

CLASSES: Final = ("OPAQUE", "CIRRUS", "SNOW")
"""Layers of MSK_CLASSI in their order; MSK_CLOUDS has the first two."""

_FIRST_DETECTOR: Final = 4
"""The westernmost of a written product; with the width below, a full granule then has 4 to 9 of the 12."""

_DETECTOR_WIDTH: Final = 2500.0
"""10 m pixels across the track, about as in real granules; narrower in small products, to show several."""

_LEAST_DETECTORS: Final = 3

_DETECTOR_OVERLAP: Final = 0.064
"""Share of a detector's width that its neighbour sees too: about 1.6 km."""

_TRACK_SLOPE: Final = 0.24
"""Columns that a descending track moves west with each row."""

_BAND_SHIFT: Final = 2.0
"""10 m pixels between the footprints of successive bands, which look in slightly different directions."""

_HEAD: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<eop:Mask xmlns:eop="http://www.opengis.net/eop/2.0" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xmlns:gml="http://www.opengis.net/gml/3.2" gml:id="{name}">\n'
    "  <gml:name>MSK_{kind} pixels mask from data-strip {name}</gml:name>\n"
)


class Feature(NamedTuple):
    """A polygon of a GML mask."""

    feature_id: str
    polygon_id: str
    mask_type: str
    rings: list[list[tuple[float, float]]]
    """Closed rings of (x, y) in the granule's coordinates: the outer one, then holes."""


def detector_numbers(dn: NDArray[np.uint16], band: Band) -> NDArray[np.uint8]:
    """Return the detector of each native pixel, u8 (height, width); 0 where `dn` is no-data."""
    across = _across_track(band, *dn.shape)
    return np.where(dn == NODATA_DN, 0, _FIRST_DETECTOR + across.astype(np.uint8)).astype(np.uint8)


def detector_features(dn: NDArray[np.uint16], band: Band, spec: ProductSpec) -> Iterator[Feature]:
    """Yield the footprint of each detector along the borders of native pixels; neighbours overlap."""
    across, seen = _across_track(band, *dn.shape), dn != NODATA_DN
    count = 0
    for number in range(int(across.max()) + 1):
        west, east = number - _DETECTOR_OVERLAP / 2, number + 1 + _DETECTOR_OVERLAP / 2
        for rings in _polygons((across >= west) & (across <= east) & seen, spec, band.resolution):
            name = f"detector_footprint-{band}-{_FIRST_DETECTOR + number:02d}-{count}"
            yield Feature(name, f"DETECTOR_FOOTPRINT.{count}_Polygon", "DETECTOR_FOOTPRINT", rings)
            count += 1


def cloud_features(classes: NDArray[np.uint8], spec: ProductSpec) -> Iterator[Feature]:
    """Yield the outlines of the first two layers of `classes`, u8 (3, height, width) at 60 m."""
    for kind, layer in zip(CLASSES[:2], classes[:2], strict=True):
        for count, rings in enumerate(_polygons(layer > 0, spec, Band.B01.resolution)):
            yield Feature(f"{kind}.{count}", f"{kind}.{count}_Polygon", kind, rings)


def mask_gml(spec: ProductSpec, kind: str, band: str, features: list[Feature]) -> str:
    """Return the GML file of a mask: MSK_`kind` of `band`."""
    name = f"{spec.part_id('MSK', kind)}_T{spec.tile}_{band}_MSIL1C"
    # Real footprints carry heights, cloud outlines do not.
    heights = " 0" if kind == "DETFOO" else ""
    if not features:
        return _HEAD.format(name=name, kind=kind) + "  <eop:maskMembers/>\n</eop:Mask>\n"
    members = "".join(_member(feature, heights) for feature in features)
    return (
        _HEAD.format(name=name, kind=kind)
        + _envelope(spec, features, heights)
        + f"  <eop:maskMembers>\n{members}  </eop:maskMembers>\n</eop:Mask>\n"
    )


def _across_track(band: Band, height: int, width: int) -> NDArray[np.float32]:
    """Return how many detectors lie to the west of each native pixel's centre, f32 (height, width)."""
    factor = band.resolution // GRID
    rows, columns = ((np.arange(count, dtype=np.float32) + 0.5) * factor for count in (height, width))
    rows = np.float32(_TRACK_SLOPE) * rows + np.float32(_BAND_SHIFT * list(Band).index(band))
    across = rows[:, None] + columns[None, :]
    across /= np.float32(min(_DETECTOR_WIDTH, width * factor / _LEAST_DETECTORS))
    return across


def _polygons(
    mask: NDArray[np.bool_], spec: ProductSpec, metres: int
) -> Iterator[list[list[tuple[float, float]]]]:
    grid = Affine(metres, 0, spec.left, 0, -metres, spec.top)
    found: Iterator[tuple[dict[str, Any], float]] = shapes(mask.astype(np.uint8), mask, transform=grid)
    return (shape["coordinates"] for shape, _ in found)


def _envelope(spec: ProductSpec, features: list[Feature], heights: str) -> str:
    points = np.concatenate([np.asarray(feature.rings[0]) for feature in features])
    (left, bottom), (right, top) = points.min(axis=0), points.max(axis=0)
    code = spec.crs.removeprefix("EPSG:")
    return (
        "  <gml:boundedBy>\n"
        f'    <gml:Envelope srsName="urn:ogc:def:crs:EPSG:8.7:{code}">\n'
        f"      <gml:lowerCorner>{left:.0f} {bottom:.0f}{heights}</gml:lowerCorner>\n"
        f"      <gml:upperCorner>{right:.0f} {top:.0f}{heights}</gml:upperCorner>\n"
        "    </gml:Envelope>\n"
        "  </gml:boundedBy>\n"
    )


def _member(feature: Feature, heights: str) -> str:
    rings = "".join(
        _ring("interior" if index else "exterior", ring, heights) for index, ring in enumerate(feature.rings)
    )
    return (
        f'    <eop:MaskFeature gml:id="{feature.feature_id}">\n'
        f'      <eop:maskType codeSpace="urn:gs2:S2PDGS:maskType">{feature.mask_type}</eop:maskType>\n'
        "      <eop:extentOf>\n"
        f'        <gml:Polygon gml:id="{feature.polygon_id}">\n{rings}        </gml:Polygon>\n'
        "      </eop:extentOf>\n"
        "    </eop:MaskFeature>\n"
    )


def _ring(side: str, ring: list[tuple[float, float]], heights: str) -> str:
    positions = " ".join(f"{x:.0f} {y:.0f}{heights}" for x, y in ring)
    dimension = 3 if heights else 2
    return (
        f"          <gml:{side}>\n"
        "            <gml:LinearRing>\n"
        f'              <gml:posList srsDimension="{dimension}">{positions}</gml:posList>\n'
        "            </gml:LinearRing>\n"
        f"          </gml:{side}>\n"
    )
