"""Simulated products: their picture is the simulated one, other bands look like ice, water and cloud."""

from functools import cache

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.warp import transform as reproject

from labeling.bands import BLUE, GREEN, RED, Band, to_reflectance
from labeling.classes import IGNORE, IceClass
from labeling.errors import ConfigError
from labeling.grid import Block
from labeling.scenes.contract.rendering import find_rendering, render
from labeling.scenes.open import open_scene
from labeling.scenes.products.safe.reader import open_product
from labeling.scenes.sidecars import sidecar_path, truth_path
from labeling.simulation import product as simulate_product
from labeling.simulation.bands import (
    BACKSCATTER,
    CLOUD_VALUE,
    RENDERING,
    band_reflectance,
    quality_classes,
    reflectance,
)
from labeling.simulation.product import find_tile, product_spec, tile_at, write_product_scene
from labeling.simulation.safe.writer import native_dn
from labeling.simulation.scene import SceneSpec, SimulatedScene, placement, simulate, variety

SIDE = 240


def spec(**changes):
    values = {"scene_id": "test-01", "height": SIDE, "width": SIDE, "seed": 5, "cloud": 0.6, "nodata": 0.1}
    return SceneSpec(**values | {"ice_cover": 0.75, "thin_share": 0.4} | changes)


@cache
def scene():
    return simulate(spec())


@cache
def bands():
    return dict(zip(Band, reflectance(scene()), strict=True))


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    return write_product_scene(tmp_path_factory.mktemp("product"), spec())


def flat(*, level, code=IceClass.THICK_ICE, cloud=0.0, shadow=0.0):
    """A scene that is the same everywhere."""
    whole = np.ones((6, 6), np.float32)
    rgb = np.full((3, 6, 6), level, np.uint8)
    return SimulatedScene(rgb, np.full((6, 6), code, np.uint8), cloud * whole, shadow * whole)


def one_pixel(**what):
    return dict(zip(Band, reflectance(flat(**what))[:, 0, 0].tolist(), strict=True))


# Bands


@pytest.mark.parametrize("offset", [0, -1000])
def test_dn_of_red_green_and_blue_render_back_to_the_picture_exactly(offset):
    valid = scene().truth != IGNORE
    dn = [native_dn(bands()[band], band, offset) for band in (RED, GREEN, BLUE)]
    values = np.stack([to_reflectance(one, offset, 10_000) for one in dn])
    np.testing.assert_array_equal(render(values, valid, find_rendering(RENDERING)), scene().rgb)


def test_every_level_renders_back_to_itself():
    levels = np.arange(1, 256, dtype=np.uint8).reshape(1, 255)
    made = flat(level=1)._replace(rgb=np.repeat(levels[None], 3, axis=0), truth=np.zeros((1, 255), np.uint8))
    stored = to_reflectance(native_dn(band_reflectance(made, RED), RED, -1000), -1000, 10_000)
    found = render(stored[None], np.ones((1, 255), bool), find_rendering(RENDERING))
    np.testing.assert_array_equal(found[0], levels)


def test_no_data_is_nan_in_every_band_and_nowhere_else():
    for values in bands().values():
        np.testing.assert_array_equal(np.isnan(values), scene().truth == IGNORE)
        assert values.dtype == np.float32
        assert np.nanmin(values) >= 0
        assert np.nanmax(values) < 0.4


def test_snow_is_bright_in_the_visible_and_dark_in_the_short_wave_infrared():
    snow = one_pixel(level=240)
    assert (snow["B03"] - snow["B11"]) / (snow["B03"] + snow["B11"]) > 0.7
    assert snow["B03"] > snow["B08"] > snow["B8A"] > snow["B09"] > snow["B11"] > snow["B12"] > snow["B10"]
    assert snow["B10"] < 0.005


def test_thin_ice_dims_sooner_than_snow_and_water_is_black_in_the_infrared():
    thick, thin, water = (one_pixel(level=90, code=code)["B8A"] for code in reversed(IceClass))
    assert thick > thin > water
    assert one_pixel(level=20, code=IceClass.WATER)["B11"] < 0.01


@pytest.mark.parametrize("code", list(IceClass))
def test_cloud_is_bright_in_the_short_wave_infrared_and_in_the_cirrus_band(code):
    # What the simulated sky makes of a surface of V = 90 under a cloud of optical depth 1.
    clear = np.exp(-BACKSCATTER)
    level = round(90 * clear + CLOUD_VALUE * (1 - clear))
    under, without = one_pixel(level=level, code=code, cloud=1.0), one_pixel(level=90, code=code)
    for band in ("B10", "B11", "B12"):
        assert under[band] > without[band] + 0.015
    assert under["B10"] > 0.02 > 0.005 > without["B10"]
    assert under["B11"] > 0.5 * (under["B03"] - clear * without["B03"])


def test_a_shadow_darkens_every_band_and_the_infrared_most():
    lit, shaded = one_pixel(level=240), one_pixel(level=160, shadow=0.7)
    ratios = {band: shaded[band] / lit[band] for band in Band}
    assert max(ratios.values()) < 0.7
    assert ratios["B11"] < ratios["B03"]


@given(
    level=st.integers(1, 255), depth=st.floats(0, 3), shadow=st.floats(0, 1), code=st.sampled_from(IceClass)
)
@settings(max_examples=60, deadline=None)
def test_any_pixel_gives_reflectance(level, depth, shadow, code):
    values = reflectance(flat(level=level, code=code, cloud=depth, shadow=shadow))
    assert np.isfinite(values).all()
    assert values.min() >= 0
    assert values.max() < 1


def test_quality_classes_follow_the_sky_and_the_ice():
    opaque, cirrus, snow = quality_classes(scene())
    assert opaque.shape == (SIDE // 6, SIDE // 6)
    depth = scene().cloud.reshape(SIDE // 6, 6, SIDE // 6, 6).mean(axis=(1, 3))
    np.testing.assert_array_equal(opaque == 1, depth >= 0.8)
    np.testing.assert_array_equal(cirrus == 1, (depth >= 0.15) & (depth < 0.8))
    assert not (opaque & snow).any()
    for layer in (cirrus, snow):
        assert 0.05 < layer.mean() < 0.95
    np.testing.assert_array_equal(quality_classes(flat(level=240)), [[[0]], [[0]], [[1]]])
    np.testing.assert_array_equal(quality_classes(flat(level=240, cloud=2)), [[[1]], [[0]], [[0]]])


# Products


def test_the_product_reads_back_as_the_simulated_picture(product):
    with open_scene(str(product), RENDERING) as opened:
        found = opened.read(Block(0, 0, SIDE, SIDE))
        info = opened.info
    # Labels depend on these two alone, so they are those of the picture in every pixel.
    np.testing.assert_array_equal(found.rgb, scene().rgb)
    np.testing.assert_array_equal(found.valid, scene().truth != IGNORE)
    assert (info.product_type, info.baseline, info.height) == ("L1C", "05.00", SIDE)
    assert 0 < info.sun_zenith < 90


@pytest.mark.parametrize("strip", [6, 102, 6000])
def test_every_band_is_the_mean_over_its_native_pixels_whatever_the_strips(tmp_path, monkeypatch, strip):
    monkeypatch.setattr(simulate_product, "_STRIP_ROWS", strip)
    with open_product(str(write_product_scene(tmp_path, spec()))) as opened:
        for band, values in bands().items():
            found = opened.read_native(band).values[0]
            expected = to_reflectance(native_dn(values, band, -1000), -1000, 10_000)
            np.testing.assert_array_equal(found, expected)


def test_sidecars_lie_where_evaluation_looks_and_on_the_same_grid(product):
    files = [truth_path(product), sidecar_path(product, ".cloud"), sidecar_path(product, ".shadow")]
    assert sorted(product.parent.iterdir()) == sorted([product, *files])
    with open_scene(str(product)) as opened:
        info = opened.info
    for file, expected in zip(files, (scene().truth, scene().cloud, scene().shadow), strict=True):
        with rasterio.open(file) as raster:
            np.testing.assert_array_equal(raster.read(1), expected)
            assert raster.crs.to_wkt() == info.crs
            assert list(raster.transform)[:6] == info.transform


def test_a_failed_write_leaves_no_product(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("labeling.simulation.safe.writer._write_classes", fail)
    with pytest.raises(OSError, match="disk full"):
        write_product_scene(tmp_path, spec(height=60, width=60))
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_scenes_of_one_seed_share_their_pass_and_nothing_else_is_shared():
    specs = variety(16, height=60, width=60, seed=7)
    products = [product_spec(one) for one in specs]
    assert len({one.datatake for one in products}) == len({one.name for one in products}) == 16
    again = product_spec(specs[0].model_copy(update={"scene_id": "other", "cloud": 0.9}))
    assert again.datatake == products[0].datatake
    assert again.name != products[0].name
    assert all(1 <= product_spec(spec(seed=seed)).relative_orbit <= 143 for seed in range(0, 3000, 37))


@pytest.mark.parametrize("changes", [{"height": 100}, {"width": 62}, {"pixel_size": 20}])
def test_what_no_product_can_be_is_refused(tmp_path, changes):
    with pytest.raises(ConfigError, match=r"test-01 has .* multiples of 6"):
        write_product_scene(tmp_path, spec(**changes))
    assert not list(tmp_path.iterdir())


# Tiles


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
        made = spec(seed=seed, crs=crs)
        tile, corner = find_tile(made), placement(made)
        [x], [y] = reproject(crs, tile.crs, [corner.c], [corner.f])
        assert 0 <= x - tile.left < 109_800
        assert 0 <= tile.top - y < 109_800
        assert tile.left % 60 == (10_000_000 - tile.top) % 60 == 0
