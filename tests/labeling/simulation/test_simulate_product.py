"""Simulated products as files: what is written is what light.py and processor.py say, and reads back."""

from functools import cache

import numpy as np
import pytest
import rasterio

from labeling.bands import BLUE, GREEN, RED, Band
from labeling.classes import IGNORE, IceClass
from labeling.errors import ConfigError
from labeling.grid import Block
from labeling.scenes.open import open_scene
from labeling.scenes.products.safe.reader import open_product
from labeling.scenes.sidecars import sidecar_path, truth_path
from labeling.simulation import product as simulate_product
from labeling.simulation.light import Conditions, band_reflectance
from labeling.simulation.processor import scene_classes
from labeling.simulation.product import product_spec, write_product_scene
from labeling.simulation.scene import SceneSpec, simulate, variety
from labeling.simulation.spectra import surface_reflectance

SIDE = 240


def spec(**changes):
    values = {"scene_id": "test-01", "height": SIDE, "width": SIDE, "seed": 5, "cloud": 0.6, "nodata": 0.1}
    return SceneSpec(**values | {"ice_cover": 0.75, "thin_share": 0.4} | changes)


@cache
def scene():
    return simulate(spec())


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    return write_product_scene(tmp_path_factory.mktemp("product"), spec())


# Products


def native(values, band):
    """Means over native pixels, (height, width)."""
    factor = band.resolution // 10
    return values.reshape(SIDE // factor, factor, SIDE // factor, factor).mean(axis=(1, 3))


def test_an_l1c_product_holds_what_the_sensor_saw(product):
    at = Conditions.of(product_spec(spec()))
    with open_product(str(product)) as opened:
        facts = opened.facts
        assert opened.bands == tuple(Band)
        for band in Band:
            expected = native(band_reflectance(scene(), at, band), band)
            off = opened.read_native(band).values[0] - expected
            np.testing.assert_array_equal(np.isnan(off), np.isnan(expected))
            # Noise and rounding to DN, and no bias.
            assert np.nanmax(np.abs(off)) < 0.06
            assert abs(np.nanmean(off)) < 5e-4
    assert (facts.product_type, facts.baseline, facts.height) == ("L1C", "05.00", SIDE)
    assert 56 <= facts.sun_zenith <= 74


def test_an_l2a_product_is_near_the_surface_and_has_a_scene_classification(tmp_path):
    clear = spec(cloud=0)
    path = write_product_scene(tmp_path, clear, product_type="L2A")
    made, snow = simulate(clear), Conditions.of(product_spec(clear)).snow
    with open_product(str(path)) as opened:
        assert opened.facts.product_type == "L2A"
        assert opened.bands == tuple(band for band in Band if band is not Band.B10)
        for band in opened.bands:
            ground = surface_reflectance(made.truth, made.value, band, snow)
            ground = native(np.where(made.truth == IGNORE, np.nan, ground), band)
            off = np.abs(opened.read_native(band).values[0] - ground)
            assert np.nanmedian(off / (0.005 + 0.05 * ground)) < (5 if band is Band.B09 else 1)
        codes = opened.read_layer("SCL", Block(0, 0, SIDE, SIDE))[0]
    np.testing.assert_array_equal(codes[::2, ::2], scene_classes(made))
    names = {file.parent.name for file in path.rglob("*_B*m.jp2")}
    assert names == {"R10m", "R20m", "R60m"}


@pytest.mark.parametrize(("product_type", "top"), [("L1C", 0.3558), ("L2A", 0.2)])
def test_scenes_open_and_their_true_colour_image_saturates_as_that_of_esa(tmp_path, product_type, top):
    path = write_product_scene(tmp_path, spec(), product_type=product_type)
    with open_scene(str(path), "linear-1.0") as opened:
        assert opened.info.product_type == product_type
        np.testing.assert_array_equal(opened.read(Block(0, 0, SIDE, SIDE)).valid, scene().truth != IGNORE)
    with open_product(str(path)) as product:
        picture = product.read_layer("TCI", Block(0, 0, SIDE, SIDE))
        seen = product.read(Block(0, 0, SIDE, SIDE), (RED, GREEN, BLUE)).values
    thick = (scene().truth == IceClass.THICK_ICE) & (scene().shadow < 0.2)
    assert (picture[:, thick] == 255).mean() > 0.95
    dark = (seen < top - 0.005) & (seen > 0.01)
    np.testing.assert_allclose(picture[dark], seen[dark] * 255 / top, atol=0.51)


def test_levels_of_one_scene_share_the_sensors_noise_and_differ_in_offset_only_by_baseline(tmp_path):
    new, old = (write_product_scene(tmp_path / one, spec(), baseline=one) for one in ("05.00", "02.08"))
    with open_product(str(new)) as one, open_product(str(old)) as other:
        for band in (BLUE, Band.B11):
            np.testing.assert_array_equal(one.read_native(band).values, other.read_native(band).values)


@pytest.mark.parametrize("sun", [None, 40, 80])
def test_a_scene_may_say_where_the_sun_stands(sun):
    made = product_spec(spec(sun_zenith=sun))
    drawn = product_spec(spec()).sun_zenith
    assert made.sun_zenith == (drawn if sun is None else sun)
    assert made.view == product_spec(spec()).view
    assert max(one.zenith for one in made.view) < 12
    assert 0 <= made.sun_azimuth < 360
    with pytest.raises(ValueError, match="less than or equal to 80"):
        spec(sun_zenith=80.5)


@pytest.mark.parametrize("product_type", ["L1C", "L2A"])
@pytest.mark.parametrize("strip", [6, 102])
def test_strips_leave_no_trace(tmp_path, monkeypatch, product_type, strip):
    whole = write_product_scene(tmp_path / "whole", spec(), product_type=product_type)
    monkeypatch.setattr(simulate_product, "_STRIP_ROWS", strip)
    cut = write_product_scene(tmp_path / "cut", spec(), product_type=product_type)
    with open_product(str(whole)) as one, open_product(str(cut)) as other:
        for band in (BLUE, Band.B8A, Band.B01):
            np.testing.assert_array_equal(one.read_native(band).values, other.read_native(band).values)


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
