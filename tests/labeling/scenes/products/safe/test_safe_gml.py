"""Masks in GML: what is read from the file, and that burning them never depends on how the grid is cut."""

import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.transform import from_origin

from labeling.errors import SceneError
from labeling.grid import Block
from labeling.scenes.products.safe import gml
from labeling.scenes.products.safe.gml import MaskPolygon, burn, outline, parse_mask

GRID = from_origin(399_960, 1_700_040, 10, 10)
HEIGHT, WIDTH = 21, 17
WHOLE = Block(0, 0, HEIGHT, WIDTH)
SQUARE = "399960 1700040 400060 1700040 400060 1699940 399960 1699940 399960 1700040"
HOLE = "399980 1700020 400000 1700020 400000 1700000 399980 1700000 399980 1700020"


def ring(positions, *, side="exterior", dimension='srsDimension="2"'):
    return (
        f"<gml:{side}><gml:LinearRing><gml:posList {dimension}>{positions}</gml:posList></gml:LinearRing>"
        f"</gml:{side}>"
    )


def member(rings, *, kind="OPAQUE", name="OPAQUE.0", polygon=""):
    return f"""<eop:MaskFeature gml:id="{name}">
      <eop:maskType codeSpace="urn:gs2:S2PDGS:maskType">{kind}</eop:maskType>
      <eop:extentOf><gml:Polygon gml:id="{name}_Polygon" {polygon}>{rings}</gml:Polygon></eop:extentOf>
    </eop:MaskFeature>"""


def mask(members="", *, head='<?xml version="1.0" encoding="UTF-8"?>', gml="http://www.opengis.net/gml/3.2"):
    return f"""{head}
    <eop:Mask xmlns:eop="http://www.opengis.net/eop/2.0" xmlns:gml="{gml}" gml:id="S2A_OPER_MSK_X">
    <!-- real files carry names and an envelope too -->
    <gml:name>MSK_CLOUDS pixels mask from data-strip S2A_OPER_MSK_X</gml:name>
    <gml:boundedBy><gml:Envelope srsName="urn:ogc:def:crs:EPSG:8.7:32758"/></gml:boundedBy>
    <eop:maskMembers>{members}</eop:maskMembers></eop:Mask>""".encode()


def parse(content):
    return parse_mask(content, where="MSK_X.gml of product.SAFE")


# Reading


def test_polygons_with_holes_come_in_the_order_of_the_file():
    first, second = parse(
        mask(
            member(ring(SQUARE) + ring(HOLE, side="interior"))
            + member(ring(HOLE), kind="CIRRUS", name="CIRRUS.7")
        )
    )
    assert (first.kind, first.feature, len(first.rings)) == ("OPAQUE", "OPAQUE.0", 2)
    assert (second.kind, second.feature, len(second.rings)) == ("CIRRUS", "CIRRUS.7", 1)
    np.testing.assert_array_equal(first.rings[0][2], [400_060, 1_699_940])
    np.testing.assert_array_equal(first.rings[1], second.rings[0])


@pytest.mark.parametrize(
    ("dimension", "polygon", "step"),
    [
        ('srsDimension="2"', "", " "),
        ("", "", " "),
        ('srsDimension="3"', "", " 0 "),
        ("", 'srsDimension="3"', " 12.5 "),
    ],
)
def test_heights_are_left_out(dimension, polygon, step):
    flat = SQUARE.split()
    positions = "".join(f"{x} {y}{step}" for x, y in zip(flat[::2], flat[1::2], strict=True))
    [found] = parse(mask(member(ring(positions, dimension=dimension), polygon=polygon)))
    np.testing.assert_array_equal(found.rings[0].ravel(), np.array(flat, float))


@pytest.mark.parametrize(
    "content",
    [
        mask(),
        b'<eop:Mask xmlns:eop="http://www.opengis.net/eop/2.0"><eop:maskMembers/></eop:Mask>',
        b'<eop:Mask xmlns:eop="http://www.opengis.net/eop/2.0"/>',
    ],
)
def test_an_empty_mask_has_no_polygons(content):
    assert parse(content) == []


def test_namespaces_do_not_matter():
    assert len(parse(mask(member(ring(SQUARE)), gml="http://www.opengis.net/gml"))) == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (mask()[:-20], "not well-formed"),
        (b"", "not well-formed"),
        (b"<html><body>Service unavailable</body></html>", "it holds html, not a Mask"),
        (mask(member("")), "0 outer rings"),
        (mask(member(ring(SQUARE) + ring(SQUARE))), "2 outer rings"),
        (mask(member(ring(SQUARE + " 5"))), "11 numbers, no closed ring of 2 each"),
        (mask(member(ring(SQUARE, dimension='srsDimension="3"'))), "10 numbers, no closed ring of 3 each"),
        (mask(member(ring("1 2 3 4 1 2"))), "6 numbers, no closed ring"),
        (mask(member(ring(SQUARE, dimension='srsDimension="4"'))), "'4', neither 2 nor 3"),
        (mask(member(ring(SQUARE.replace("399960", "west")))), "what is no number .*west"),
        (mask(member(ring(SQUARE.replace("399960", "nan")))), "out of the world"),
        (mask(member(ring(SQUARE.replace("1699940", "-inf")))), "out of the world"),
        (mask(member(ring(SQUARE.replace("400060", "1e300")))), "out of the world"),
    ],
)
def test_a_damaged_mask_is_refused(content, says):
    with pytest.raises(
        SceneError, match=rf"^MSK_X\.gml of product\.SAFE cannot be used: .*{says}.*Fetch the product again"
    ):
        parse(content)


@pytest.mark.parametrize(
    "head",
    [
        '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>',
        '<!DOCTYPE x SYSTEM "file:///etc/hostname">',
    ],
)
def test_document_types_and_entities_are_refused(head):
    with pytest.raises(SceneError, match=r"document type or entities .* Do not use this copy"):
        parse(mask(member(ring(SQUARE)), head=head))


# Burning

# In metres from the upper left corner. Multiples of 5 put corners and edges exactly on centres of pixels.
ON_CENTRES = st.integers(-6, 46).map(lambda n: 5.0 * n)
ANYWHERE = st.one_of(ON_CENTRES, st.integers(-30, 230).map(float), st.floats(-30, 230))


def polygons(numbers):
    """Polygons of any shape, crossing themselves too, with or without holes."""
    rings = st.lists(st.tuples(numbers, numbers), min_size=3, max_size=6)
    return st.lists(st.lists(rings, min_size=1, max_size=2), min_size=1, max_size=4)


def outlines(shapes, grid=GRID):
    """Bring polygons in metres right of and below the corner to the grid, as codes 1, 2, …"""
    return [outline(in_coordinates(rings), code, grid) for code, rings in enumerate(shapes, 1)]


def in_coordinates(rings):
    closed = [np.array([*one, one[0]]) for one in rings]
    return MaskPolygon("", "", [np.stack([GRID.c + r[:, 0], GRID.f - r[:, 1]], axis=1) for r in closed])


@given(shapes=polygons(ANYWHERE), cuts=st.sets(st.integers(1, HEIGHT - 1)), dense=st.booleans())
def test_any_cut_into_strips_gives_what_the_whole_grid_gives(shapes, cuts, dense):
    height, width = (HEIGHT * 10, WIDTH * 10) if dense else (HEIGHT, WIDTH)
    grid = from_origin(GRID.c, GRID.f, 1, 1) if dense else GRID
    found = outlines(shapes, grid)
    edges = [0, *sorted(cuts), height]
    strips = [burn(found, Block(top, 0, bottom - top, width)) for top, bottom in pairwise(edges)]
    np.testing.assert_array_equal(np.concatenate(strips), burn(found, Block(0, 0, height, width)))


@given(shapes=polygons(ON_CENTRES))
def test_centres_off_the_edges_are_inside_by_the_even_odd_rule(shapes):
    """Exact in integers: positions and centres in halves of a pixel."""
    rings = [[(int(x / 5), int(y / 5)) for x, y in one] for one in shapes[0]]
    burnt = burn(outlines(shapes[:1]), WHOLE)
    for row in range(HEIGHT):
        for column in range(WIDTH):
            inside = even_odd(rings, 2 * column + 1, 2 * row + 1)
            if inside is not None:
                assert burnt[row, column] == inside, (row, column)


def even_odd(rings, x, y):
    """Return whether a point lies inside, None for a point on an edge."""
    inside = False
    for one in rings:
        for (x1, y1), (x2, y2) in zip(one, [*one[1:], one[0]], strict=True):
            side = (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1)
            if side == 0 and min(x1, x2) <= x <= max(x1, x2) and min(y1, y2) <= y <= max(y1, y2):
                return None
            if (y1 > y) != (y2 > y) and (side > 0) == (y2 > y1):
                inside = not inside
    return inside


def test_holes_stay_open_and_the_last_polygon_wins():
    [square, hole] = parse(mask(member(ring(SQUARE) + ring(HOLE, side="interior")) + member(ring(HOLE))))
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[:10, :10] = 9
    expected[2:4, 2:4] = 0
    np.testing.assert_array_equal(burn([outline(square, 9, GRID)], WHOLE), expected)
    filled = square._replace(rings=square.rings[:1])
    expected[2:4, 2:4] = 3
    np.testing.assert_array_equal(burn([outline(filled, 9, GRID), outline(hole, 3, GRID)], WHOLE), expected)


def test_no_polygons_burn_to_nothing():
    assert not burn([], WHOLE).any()


def test_a_mask_nested_without_end_is_refused_at_once():
    deep = "<eop:MaskFeature>" * 20_000 + member(ring(SQUARE)) + "</eop:MaskFeature>" * 20_000
    began = time.monotonic()
    with pytest.raises(SceneError, match="more than 64 elements lie inside each other"):
        parse(mask(deep))
    assert time.monotonic() - began < 2


def test_more_positions_than_a_mask_can_have_are_refused(monkeypatch):
    monkeypatch.setattr(gml, "MOST_POSITIONS", 9)
    assert len(parse(mask(member(ring(SQUARE))))) == 1
    with pytest.raises(SceneError, match="its polygons have 10 positions, more than 9"):
        parse(mask(member(ring(SQUARE) + ring(HOLE, side="interior"))))
