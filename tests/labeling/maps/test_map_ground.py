"""Steps on a grid are as long on the ground as geodesics say, and point where they say."""

import numpy as np
import pyproj
import pytest
from affine import Affine
from rasterio.crs import CRS

from labeling.maps.ground import ground_at

GEOD = pyproj.Geod(ellps="WGS84")
GRIDS = {
    "utm": ("EPSG:32758", Affine(10, 0, 500_000, 0, -10, 1_565_000)),
    "polar": ("EPSG:3031", Affine(10, 0, -300_000, 0, -10, -1_250_000)),
    "mercator": ("EPSG:3857", Affine(40, 0, 19_000_000, 0, -40, -13_500_000)),
    "degrees": ("EPSG:4326", Affine(0.0004, 0, 179.99, 0, -0.0001, -75)),
    "equal area": ("EPSG:6932", Affine(25, 0, 900_000, 0, -25, 1_400_000)),
    "turned": ("EPSG:32758", Affine(8, 6, 500_000, 6, -8, 1_565_000)),
}


@pytest.mark.parametrize(("crs", "transform"), GRIDS.values(), ids=GRIDS.keys())
def test_steps_are_those_of_geodesics(crs, transform):
    row, column = 40.5, 71.5
    ground = ground_at(CRS.from_string(crs), transform, np.array([row]), np.array([column]))
    place = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)

    def geodesic(down, right):
        """Metres east and north by the straight way between two places half a pixel away."""
        ends = [transform @ (column + sign * right / 2, row + sign * down / 2) for sign in (-1, 1)]
        (lon, lat), (lon2, lat2) = (place.transform(*end) for end in ends)
        azimuth, _, metres = GEOD.inv(lon, lat, lon2, lat2)
        return metres * np.sin(np.radians(azimuth)), metres * np.cos(np.radians(azimuth))

    expected = np.array([geodesic(0, 1), geodesic(1, 0)]).T
    np.testing.assert_allclose(ground.steps[0], expected, rtol=0, atol=2e-4 * np.abs(expected).max())


def test_a_conformal_grid_is_square_and_degrees_are_not():
    at = {
        name: ground_at(CRS.from_string(crs), transform, np.array([5.0]), np.array([5.0])).stretch[0]
        for name, (crs, transform) in GRIDS.items()
    }
    assert at["utm"] == pytest.approx(1, abs=1e-4)
    assert at["polar"] == pytest.approx(1, abs=1e-4)
    assert at["mercator"] == pytest.approx(1, abs=0.01)
    assert at["degrees"] == pytest.approx(4 * np.cos(np.radians(75)), abs=0.02)
    assert 1.001 < at["equal area"] < 1.02


def test_what_is_not_on_earth_has_no_ground():
    one = np.ones(1)
    deck = CRS.from_wkt('LOCAL_CS["deck",UNIT["metre",1]]')
    assert ground_at(deck, GRIDS["utm"][1], one, one) is None
    assert ground_at(CRS.from_epsg(32758), Affine(1e6, 0, 1e12, 0, -1e6, 1e12), one, one) is None
