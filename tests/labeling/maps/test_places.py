"""Places and areas of pixels, against PROJ asked pixel by pixel, and against the ellipsoid in closed form."""

import math

import numpy as np
import pyproj
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS

from labeling.errors import ConfigError, SceneError
from labeling.grid import Block, blocks
from labeling.maps.cover import Extent, covering, extent, metric, wkt_of
from labeling.maps.grids import MapGrid
from labeling.maps.placing import cells_of


def grid_of(crs, transform, height, width):
    return MapGrid(CRS.from_user_input(crs).to_wkt(), tuple(transform)[:6], height, width)


GRIDS = {
    "utm": grid_of("EPSG:32758", Affine(10, 0, 499_000, 0, -10, 1_700_000), 150, 170),
    "utm, turned": grid_of(
        "EPSG:32701", Affine.translation(4e5, 1.8e6) @ Affine.rotation(20) @ Affine.scale(10, -10), 150, 170
    ),
    "at the pole": grid_of("EPSG:3031", Affine(40, 0, -3000, 0, -40, 3200), 150, 170),
    "over 180 degrees": grid_of("EPSG:3413", Affine(500, 0, -1_020_000, 0, -500, 1_050_000), 150, 170),
    "degrees": grid_of("EPSG:4326", Affine(0.01, 0, 179.2, 0, -0.005, -76), 150, 170),
    "Web Mercator": grid_of("EPSG:3857", Affine(60, 0, -2_000_000, 0, -60, -13_000_000), 150, 170),
    "EASE-Grid": grid_of("EPSG:6931", Affine(3000, 0, -200_000, 0, -3000, 250_000), 150, 170),
}
OTHERS = ["EPSG:6932", "EPSG:3031", "EPSG:3976", "EPSG:4326", "EPSG:32759"]


def centres(grid):
    columns, rows = np.meshgrid(np.arange(grid.width) + 0.5, np.arange(grid.height) + 0.5)
    return grid.affine @ (columns, rows)


def plain_cells(grid, other):
    """Ask PROJ for every pixel."""
    x, y = centres(grid)
    x, y = pyproj.Transformer.from_crs(grid.crs, other.crs, always_xy=True).transform(x, y)
    columns, rows = ~other.affine @ (x, y)
    if CRS.from_wkt(other.crs).is_geographic:
        turn = 360 / other.transform[0]
        columns = columns % turn
    inside = (rows >= 0) & (rows < other.height) & (columns >= 0) & (columns < other.width)
    return np.where(inside, np.floor(rows), -1), np.where(inside, np.floor(columns), -1)


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("target", OTHERS)
def test_places_are_those_that_proj_gives_each_pixel(name, target):
    grid, wkt = GRIDS[name], wkt_of(target, "crs")
    northern = name in ("over 180 degrees", "EASE-Grid")
    if northern:
        wkt = wkt_of({"EPSG:6932": "EPSG:6931", "EPSG:3031": "EPSG:3413"}.get(target, "EPSG:4326"), "crs")
    reach = extent(grid, wkt)
    size = (reach.north - reach.south) / 100
    other = covering([reach], wkt, size, most=1 << 40, what="it")
    rows, columns = plain_cells(grid, other)
    found = cells_of(grid, other, grid.whole)
    # PROJ itself gives the last bit differently with and without neighbours: a border may go either way.
    assert np.mean((found.rows != rows) | (found.columns != columns)) < 1e-4
    assert np.mean(found.rows >= 0) > 0.99


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("size", [32, 50, 97])
def test_blocks_change_nothing(name, size):
    grid = GRIDS[name]
    other = GRIDS["at the pole"] if name != "at the pole" else GRIDS["utm"]
    whole, areas = cells_of(grid, other, grid.whole), grid.areas(grid.whole)
    for block in blocks(height=grid.height, width=grid.width, size=size):
        part = cells_of(grid, other, block)
        assert (part.rows == whole.rows[block.slices]).all()
        assert (part.columns == whole.columns[block.slices]).all()
        assert (grid.areas(block) == areas[block.slices]).all()


@pytest.mark.parametrize("name", GRIDS)
def test_areas_are_those_of_geodesic_polygons(name):
    grid, geod = GRIDS[name], pyproj.Geod(ellps="WGS84")
    to_degrees = pyproj.Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    areas = grid.areas(grid.whole) / 1e4
    for row, column in [(0, 0), (75, 85), (149, 3), (31, 169), (80, 75)]:
        # Sides are straight in the grid's own coordinates, so they get many corners.
        along = np.linspace(0, 1, 50)[:-1]
        columns = column + np.concatenate([along, along * 0 + 1, 1 - along, along * 0])
        rows = row + np.concatenate([along * 0, along, along * 0 + 1, 1 - along])
        lon, lat = to_degrees.transform(*(grid.affine @ (columns, rows)))
        true = abs(geod.polygon_area_perimeter(lon, lat)[0])
        assert areas[row, column] == pytest.approx(true, rel=2e-5)


def zone(south, north, degrees):
    """Area between two parallels over so many degrees of longitude, in closed form."""
    crs = pyproj.CRS.from_epsg(4326).ellipsoid
    b, e = crs.semi_minor_metre, math.sqrt(1 - (crs.semi_minor_metre / crs.semi_major_metre) ** 2)

    def q(latitude):
        s = math.sin(math.radians(latitude))
        return s / (1 - (e * s) ** 2) + math.atanh(e * s) / e

    return math.pi * b**2 * degrees / 360 * (q(north) - q(south))


def test_all_of_earth():
    grid = grid_of("EPSG:4326", Affine(0.5, 0, -180, 0, -0.5, 90), 360, 720)
    total = sum(int(grid.areas(block).sum()) for block in blocks(height=360, width=720, size=100)) / 1e4
    assert total == pytest.approx(zone(-90, 90, 360), rel=2e-5)


@given(south=st.floats(-85, 80), north=st.floats(0.1, 5))
def test_web_mercator_is_brought_back(south, north):
    north += south
    to = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:3857", always_xy=True)
    (west, low), (east, high) = to.transform(-3, south), to.transform(4, north)
    grid = grid_of("EPSG:3857", Affine((east - west) / 200, 0, west, 0, -(high - low) / 300, high), 300, 200)
    assert grid.areas(grid.whole).sum() / 1e4 == pytest.approx(zone(south, north, 7), rel=1e-4)


def test_what_lies_off_earth_has_no_place():
    grid = grid_of("EPSG:6931", Affine(1_000_000, 0, -13e6, 0, -1_000_000, 13e6), 26, 26)
    areas = grid.areas(grid.whole)
    assert areas[0, 0] == 0
    assert areas[13, 13] > 0
    with pytest.raises(SceneError, match="no place in WGS 84"):
        extent(grid_of("EPSG:6931", Affine(1000, 0, 14e6, 0, -1000, 13e6), 10, 10), wkt_of("EPSG:3413", "x"))


@given(
    west=st.floats(-4e6, 4e6), south=st.floats(-4e6, 4e6),
    width=st.floats(1, 5e5), height=st.floats(1, 5e5), size=st.sampled_from([1000.0, 3125.0, 25000.0]),
)  # fmt: skip
def test_covers_hold_what_they_cover_and_lie_on_the_published_grid(west, south, width, height, size):
    reach = Extent(west, south, west + width, south + height)
    grid = covering([reach], wkt_of("EPSG:6931", "x"), size, most=1 << 30, what="it")
    left, top = grid.affine @ (0, 0)
    right, bottom = grid.affine @ (grid.width, grid.height)
    slack = 2e-6 * size
    assert left - slack <= west < left + size + slack
    assert right - size - slack < reach.east <= right + slack
    assert bottom - slack <= south < bottom + size + slack
    assert top - size - slack < reach.north <= top + slack
    # EASE-Grid 2.0 begins 9000 km from the pole.
    assert (left + 9e6) % size == pytest.approx(0, abs=1e-6)
    assert (9e6 - top) % size == pytest.approx(0, abs=1e-6)


def test_absurd_grids_and_systems_are_refused():
    with pytest.raises(ConfigError, match=r"the grid would have .* Choose fewer scenes"):
        covering([Extent(0, 0, 1e6, 1e6)], wkt_of("EPSG:6931", "x"), 10, most=1 << 24, what="the grid")
    for wrong in ("EPSG:99999", "sea ice", 'LOCAL_CS["here"]'):
        with pytest.raises(ConfigError, match=r"mosaic\.crs is "):
            wkt_of(wrong, "mosaic.crs")
    with pytest.raises(ConfigError, match="two axes"):
        wkt_of("EPSG:4979", "mosaic.crs")
    with pytest.raises(ConfigError, match=r"in degrees.*EPSG:6931"):
        metric("EPSG:4326", "concentration.crs")


def test_a_grid_around_the_pole_reaches_all_around_in_degrees():
    assert extent(GRIDS["at the pole"], wkt_of("EPSG:4326", "x"))[0::2] == (-180, 180)
    west, _, east, _ = extent(GRIDS["utm"], wkt_of("EPSG:4326", "x"))
    assert 164 < west < east < 166


def test_a_block_outside_meets_nothing():
    found = cells_of(GRIDS["utm"], GRIDS["EASE-Grid"], Block(0, 0, 40, 40))
    assert (found.rows == -1).all()
    assert (found.columns == -1).all()
