"""Areas are those of the ground, whatever grid a picture lies on and however it is cut."""

import numpy as np
import pyproj
import pytest
from rasterio.crs import CRS
from rasterio.transform import Affine, array_bounds, from_origin
from rasterio.warp import calculate_default_transform

from labeling.grid import blocks
from labeling.results.areas import AreaCount, pixel_areas
from labeling.scenes.contract.scene import SceneInfo

UTM = ("EPSG:32758", from_origin(500_000, 1_565_000, 25, 25), 400, 400)


def info_of(crs, transform, height, width):
    wkt = None if crs is None else CRS.from_user_input(crs).to_wkt()
    affine = None if transform is None else list(transform)[:6]
    return SceneInfo("a", "a", ["rgb8"], height, width, wkt, affine, [1, width], 1, 1)


def areas(info, codes, size=1000, columns=None):
    count = AreaCount(info, (0, 1, 255))
    for block in blocks(height=info.height, width=info.width, size=size, columns=columns):
        count.add(block, codes[block.slices])
    return count.pixels, count.square_metres()


def on_grid(crs):
    """100 km² of ground at 76 degrees south on another grid: 0 where a pixel is of it, else 255."""
    epsg, transform, height, width = UTM
    to, across, down = calculate_default_transform(
        epsg, crs, width, height, *array_bounds(height, width, transform)
    )
    rows, columns = np.mgrid[:down, :across] + 0.5
    back = pyproj.Transformer.from_crs(crs, epsg, always_xy=True).transform
    x, y = back(to.a * columns + to.c, to.e * rows + to.f)
    inside = (abs(x - 505_000) < 5000) & (abs(y - 1_560_000) < 5000)
    return info_of(crs, to, down, across), np.where(inside, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("crs", ["EPSG:32758", "EPSG:3031", "EPSG:3857", "EPSG:4326", "EPSG:6933"])
def test_the_same_ground_has_the_same_area_on_every_grid(crs):
    info, codes = on_grid(crs)
    _, (ground, other, _) = areas(info, codes)
    assert ground == pytest.approx(1e8 / 0.9996**2, rel=6e-3)  # the edges run through pixels
    assert other == 0


@pytest.mark.parametrize("size", [(1000, None), (64, 64), (33, 70), (1, 400), (400, 7)])
def test_areas_are_the_same_for_any_cut(size):
    codes = np.random.default_rng(3).choice(np.uint8([0, 1, 255]), (400, 400))
    info = info_of(*UTM)
    assert areas(info, codes, *size) == areas(info, codes)
    assert areas(info, codes)[0] == [int((codes == code).sum()) for code in (0, 1, 255)]


def test_a_pixel_has_the_area_that_geodesics_enclose():
    transform = from_origin(10, -75, 0.01, 0.01)
    found = pixel_areas(CRS.from_epsg(4326), transform, np.array([50.5]), np.array([7.5]))
    south, west = -75 - 0.51, 10.07
    corners = ([west, west + 0.01, west + 0.01, west], [south, south, south + 0.01, south + 0.01])
    expected, _ = pyproj.Geod(ellps="WGS84").polygon_area_perimeter(*corners)
    assert found[0] == pytest.approx(expected, rel=1e-6)


def test_poles_and_the_date_line_are_places_like_others():
    polar = from_origin(-10_000, 10_000, 10, 10)
    rows, columns = np.array([1000.0, 500.0]), np.array([1000.0, 20.0])  # the first at the pole itself
    at_pole = pixel_areas(CRS.from_epsg(3031), polar, rows, columns)
    assert at_pole == pytest.approx(at_pole[0], rel=1e-4)
    line = pixel_areas(CRS.from_epsg(4326), from_origin(179.99, -70, 0.02, 0.02), np.ones(1), np.array([0.5]))
    assert line[0] == pytest.approx(0.02**2 * 111.5e3**2 * np.cos(np.radians(70.02)), rel=0.01)


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        (None, UTM[1]),
        ("EPSG:32758", None),
        ('LOCAL_CS["deck",UNIT["metre",1]]', UTM[1]),
        ("EPSG:32758", Affine(1e6, 0, 1e12, 0, -1e6, 1e12)),
    ],
)
def test_what_has_no_place_on_earth_has_no_areas(crs, transform):
    _, found = areas(info_of(crs, transform, 40, 40), np.zeros((40, 40), np.uint8))
    assert found is None
