"""Sizes of pieces against scikit-image's, and of drawn ellipses against geometry."""

import numpy as np
import pyproj
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS
from scipy import special
from skimage.measure import perimeter_crofton, regionprops
from skimage.segmentation import relabel_sequential

from labeling.maps.floes.shapes import measure, on_ground
from labeling.maps.ground import Ground, ground_at


def ellipse(shape, row, column, major, minor, degrees):
    """Pixels of an ellipse of these whole axes, the major one `degrees` clockwise from up."""
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    angle = np.radians(degrees)
    up, right = row - rows, columns - column
    along, across = up * np.cos(angle) + right * np.sin(angle), right * np.cos(angle) - up * np.sin(angle)
    return (2 * along / major) ** 2 + (2 * across / minor) ** 2 <= 1


def flat(count, side=10.0):
    """Ground of a grid whose rows run south, with pixels of so many metres."""
    return Ground(np.tile(np.array([[side, 0.0], [0.0, -side]]), (count, 1, 1)))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 600), st.integers(1, 40))
def test_pieces_are_measured_as_scikit_image_does(seed, height, width):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, (height, width)).astype(np.int32)
    labels = np.where(rng.random((height, width)) < 0.4, np.sort(labels, axis=0), labels)
    labels, _, _ = relabel_sequential(labels)
    count = int(labels.max())
    shapes = measure(labels, count)
    for prop in regionprops(labels):
        at = prop.label - 1
        assert shapes.pixels[at] == prop.area
        assert (shapes.rows[at] - 0.5, shapes.columns[at] - 0.5) == pytest.approx(prop.centroid)
        variances = np.linalg.eigvalsh(shapes.spread[at]) - 1 / 12  # to scikit-image pixels are points
        assert 4 * np.sqrt(np.maximum(variances, 0)) == pytest.approx(
            [prop.axis_minor_length, prop.axis_major_length], abs=1e-5
        )
    found = on_ground(shapes, flat(count)).perimeter
    for label in range(1, count + 1):
        expected = perimeter_crofton(np.pad(labels == label, 1), directions=4)
        assert found[label - 1] == pytest.approx(10 * expected)


@pytest.mark.parametrize("degrees", [0, 20, 45, 77, 90, 130, 179])
@pytest.mark.parametrize(("major", "minor"), [(80, 80), (120, 60), (150, 40)])
def test_ellipses_have_the_sizes_of_ellipses(major, minor, degrees):
    labels = ellipse((200, 200), 99.3, 101.8, major, minor, degrees).astype(np.int32)
    sizes = on_ground(measure(labels, 1), flat(1))
    area = np.pi / 4 * major * minor * 100
    assert sizes.area[0] == pytest.approx(area, rel=0.01)
    assert sizes.diameter[0] == pytest.approx(10 * np.sqrt(major * minor), rel=0.005)
    assert sizes.major[0] == pytest.approx(10 * major, rel=0.01)
    assert sizes.minor[0] == pytest.approx(10 * minor, rel=0.01)
    outline = 20 * major * special.ellipe(1 - (minor / major) ** 2)
    assert sizes.perimeter[0] == pytest.approx(outline, rel=0.05)
    if major > minor:
        off = (sizes.bearing[0] - degrees + 90) % 180 - 90
        assert abs(off) < 1


@pytest.mark.parametrize(
    ("crs", "transform"),
    [("EPSG:3857", Affine(40, 0, 19_000_000, 0, -40, -13_500_000)),
     ("EPSG:3031", Affine(10, 0, 700_000, 0, -10, -900_000)),
     ("EPSG:6932", Affine(25, 0, 900_000, 0, -25, 1_400_000))],
)  # fmt: skip
def test_a_floe_on_the_ground_has_its_size_on_every_grid(crs, transform):
    """An ellipse drawn on the ground around a place: 900 m by 300 m, 30 degrees east of north."""
    to_lonlat = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    rows, columns = np.mgrid[:160, :160] + 0.5
    lon, lat = to_lonlat.transform(transform.c + transform.a * columns, transform.f + transform.e * rows)
    azimuth, _, metres = pyproj.Geod(ellps="WGS84").inv(
        np.full_like(lon, lon[80, 80]), np.full_like(lat, lat[80, 80]), lon, lat
    )
    angle = np.radians(azimuth - 30)
    inside = (metres * np.cos(angle) / 450) ** 2 + (metres * np.sin(angle) / 150) ** 2 <= 1
    shapes = measure(inside.astype(np.int32), 1)
    sizes = on_ground(shapes, ground_at(CRS.from_string(crs), transform, shapes.rows, shapes.columns))
    assert sizes.area[0] == pytest.approx(np.pi * 450 * 150, rel=0.02)
    assert sizes.major[0] == pytest.approx(900, rel=0.02)
    assert sizes.minor[0] == pytest.approx(300, rel=0.02)
    assert sizes.bearing[0] == pytest.approx(30, abs=1)
    assert sizes.perimeter[0] == pytest.approx(4 * 450 * special.ellipe(8 / 9), rel=0.06)
