"""Tiles of simulated products are those of the real grid."""

import pytest
from rasterio.warp import transform as reproject

from labeling.simulation.scene import SceneSpec, placement
from labeling.simulation.tiles import find_tile, tile_at


@pytest.mark.parametrize(
    ("name", "crs", "left", "top", "east", "south"),
    [
        # Upper left corners that real products state, and a place in the square and in its zone.
        ("01CCV", "EPSG:32701", 300_000, 2_000_020, 99_900, 100),
        ("22HBD", "EPSG:32722", 199_980, 5_900_020, 60_000, 99_900),
        ("56LMM", "EPSG:32756", 399_960, 8_700_040, 100, 99_900),
        ("31TGJ", "EPSG:32631", 699_960, 4_900_020, 1_000, 100),
        ("35UPR", "EPSG:32635", 600_000, 5_600_040, 99_900, 50_000),
    ],
)
def test_tiles_are_those_of_the_real_grid(name, crs, left, top, east, south):
    [longitude], [latitude] = reproject(crs, "EPSG:4326", [left + east], [top - south])
    assert tile_at(longitude, latitude) == (name, crs, left, top)


@pytest.mark.parametrize("crs", ["EPSG:3031", "EPSG:32759"])
def test_a_scene_lies_in_its_tile(crs):
    for seed in range(12):
        made = SceneSpec(scene_id="test-01", height=60, width=60, seed=seed, crs=crs)
        tile, corner = find_tile(made), placement(made)
        [x], [y] = reproject(crs, tile.crs, [corner.c], [corner.f])
        assert 0 <= x - tile.left < 109_800
        assert 0 <= tile.top - y < 109_800
        assert tile.left % 60 == (10_000_000 - tile.top) % 60 == 0
