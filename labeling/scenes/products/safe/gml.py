"""Quality masks of old products: polygons in GML, burnt into the granule's grid.

parse_mask -> polygons in coordinates -> outline -> polygons in pixels -> burn, rows by rows

Structure and names are those of the Sentinel-2 Products Specification Document. Elements are found by local
name, as in metadata.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple
from xml.etree.ElementTree import Element

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize

from labeling.grid import Block
from labeling.scenes.products.safe.xml import local, parse, unusable

_FARTHEST: Final = 1e8
"""Metres; no coordinate of a UTM zone comes near."""

MOST_POSITIONS: Final = 1 << 20
"""Of all rings of a mask, which real ones stay far below; every row of the scene is held against each."""

_LEAST_POSITIONS: Final = 4
"""Of a closed ring."""

_FRACTIONS: Final = 1 << 16
"""Parts of a pixel that positions are rounded to: far less than a mask knows."""


class MaskPolygon(NamedTuple):
    """A polygon of a mask."""

    kind: str
    """`eop:maskType`, for example "OPAQUE"."""
    feature: str
    """`gml:id` of the feature it belongs to, for example "detector_footprint-B02-05-0"."""
    rings: list[NDArray[np.float64]]
    """(positions, 2) each, x and y in the granule's coordinate system: the outer ring, then holes."""


class Outline(NamedTuple):
    """A polygon in pixels of a grid, ready to be burnt."""

    code: int
    """What its pixels get, 1..255."""
    top: float
    """Least row of its rings."""
    bottom: float
    """Greatest row of its rings."""
    rings: list[list[list[float]]]
    """[column, row] each, counted from the grid's upper left corner: the outer ring, then holes."""


def parse_mask(content: bytes, *, where: str) -> list[MaskPolygon]:
    """Read the polygons of a mask in the order of the file, none for an empty mask.

    `where` names the file in messages. Raises SceneError as `parse` does, and for what is no mask, or has a
    polygon that cannot be read, or too many positions.
    """
    root = parse(content, where)
    if local(root.tag) != "Mask":
        raise unusable(where, f"it holds {local(root.tag)}, not a Mask")
    found = [
        MaskPolygon(
            next((child.text or "" for child in _all("maskType", feature)), "").strip(),
            next((value for key, value in feature.attrib.items() if local(key) == "id"), ""),
            _rings(polygon, where),
        )
        for feature in _all("MaskFeature", root)
        for polygon in _all("Polygon", feature)
    ]
    positions = sum(len(ring) for polygon in found for ring in polygon.rings)
    if positions > MOST_POSITIONS:
        raise unusable(where, f"its polygons have {positions} positions, more than {MOST_POSITIONS}")
    return found


def outline(polygon: MaskPolygon, code: int, transform: Affine) -> Outline:
    """Bring a polygon to the grid whose pixels `transform`, without rotation, turns into coordinates."""
    corner, side = (transform.c, transform.f), (transform.a, transform.e)
    # Exact binary fractions, so that counting rows from another one leaves no rounding to differ in.
    rings = [np.rint((ring - corner) / side * _FRACTIONS) / _FRACTIONS for ring in polygon.rings]
    rows = np.concatenate(rings)[:, 1]  # of holes too: a damaged one may lie outside
    return Outline(code, float(rows.min()), float(rows.max()), [ring.tolist() for ring in rings])


def burn(outlines: Iterable[Outline], strip: Block) -> NDArray[np.uint8]:
    """Return (height, width) of `strip`: the code of the last outline that holds a pixel's centre, 0 if none.

    `strip` has all columns of the grid. Any cut into strips gives what the whole grid gives, pixels whose
    centre an edge meets exactly included: GDAL finds where a row of centres meets the edges, and in a strip
    it does so with the same differences of rows and the same columns. Among columns that would not hold.
    """
    bottom = strip.row + strip.height
    shapes = [
        ({"type": "Polygon", "coordinates": one.rings}, one.code)
        for one in outlines
        if one.top < bottom and one.bottom > strip.row
    ]
    if not shapes:
        return np.zeros((strip.height, strip.width), np.uint8)
    burnt = rasterize(
        shapes,
        out_shape=(strip.height, strip.width),
        transform=Affine.translation(0, strip.row),
        dtype="uint8",
    )
    return np.asarray(burnt, np.uint8)


def _rings(polygon: Element, where: str) -> list[NDArray[np.float64]]:
    outer = [ring for side in _all("exterior", polygon) for ring in _all("posList", side)]
    holes = [ring for side in _all("interior", polygon) for ring in _all("posList", side)]
    if len(outer) != 1:
        raise unusable(where, f"a polygon has {len(outer)} outer rings with a posList")
    dimension = polygon.get("srsDimension", "2")
    return [_positions(ring, ring.get("srsDimension", dimension), where) for ring in outer + holes]


def _positions(ring: Element, dimension: str, where: str) -> NDArray[np.float64]:
    if dimension not in ("2", "3"):
        raise unusable(where, f"srsDimension is '{dimension}', neither 2 nor 3")
    try:
        numbers = np.array((ring.text or "").split(), np.float64)
    except ValueError as error:
        raise unusable(where, f"a posList holds what is no number ({error})") from None
    step = int(dimension)
    if len(numbers) % step or len(numbers) < _LEAST_POSITIONS * step:
        raise unusable(where, f"a posList has {len(numbers)} numbers, no closed ring of {step} each")
    positions = numbers.reshape(-1, step)[:, :2]
    if not (np.abs(positions) <= _FARTHEST).all():
        raise unusable(where, f"a posList leads out of the world ({positions.min()}, {positions.max()})")
    return positions


def _all(name: str, inside: Element) -> Iterator[Element]:
    return (element for element in inside.iter() if local(element.tag) == name)
