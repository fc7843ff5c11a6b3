from functools import cache
from pathlib import Path

import numpy as np
import pytest
import rasterio
from conftest import planar, real_picture
from pydantic import ValidationError

from labeling.classes import CLASS_CODES, IGNORE, IceClass
from labeling.ice.profile import ThresholdSettings
from labeling.ice.thresholds import brightness, label
from labeling.scenes.sidecars import SIDECARS, truth_path
from labeling.simulation.scene import SceneSpec, placement, simulate, variety, write_scene

SIDE = 256


def spec(**changes):
    return SceneSpec(**({"scene_id": "test-01", "height": SIDE, "width": SIDE, "seed": 5} | changes))


@cache
def simulated(**changes):
    return simulate(spec(**changes))


def agreement(scene):
    """Share of the valid pixels to which the published thresholds give their true class."""
    known = scene.truth != IGNORE
    return float((label(scene.rgb, ThresholdSettings()) == scene.truth)[known].mean())


def shares(scene):
    """Share of the valid pixels in each true class."""
    return np.bincount(scene.truth[scene.truth != IGNORE], minlength=3) / (scene.truth != IGNORE).sum()


def test_layers_have_the_documented_shapes_types_and_ranges():
    scene = simulate(spec(height=120, width=200, cloud=0.5, nodata=0.1))
    assert (scene.rgb.shape, scene.rgb.dtype) == ((3, 120, 200), np.uint8)
    for layer, dtype in zip(scene[1:], (np.uint8, np.float32, np.float32, np.float32), strict=True):
        assert (layer.shape, layer.dtype) == ((120, 200), dtype)
    assert set(np.unique(scene.truth)) <= {*CLASS_CODES, IGNORE}
    assert scene.cloud.min() == 0
    assert 0.1 < scene.cloud.max() < 4
    assert scene.shadow.min() == 0
    assert 0.2 < scene.shadow.max() <= 1
    assert 0 < scene.value.min() < 30
    assert 220 < scene.value.max() < 330


@pytest.mark.parametrize("changes", [{}, {"cloud": 0.5, "nodata": 0.2}])
def test_a_specification_always_gives_the_same_pixels(changes):
    again = simulate(spec(**changes))
    for one, other in zip(simulated(**changes), again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_seeds_give_different_surfaces_and_places():
    one, other = simulated(seed=5), simulated(seed=6)
    assert (one.truth != other.truth).mean() > 0.1
    assert placement(spec(seed=5)) != placement(spec(seed=6))


def test_the_sky_and_the_swath_leave_the_surface_as_it_is():
    clear, cloudy, cut = simulated(), simulated(cloud=0.5), simulated(nodata=0.3)
    np.testing.assert_array_equal(clear.truth, cloudy.truth)
    kept = cut.truth != IGNORE
    np.testing.assert_array_equal(clear.truth[kept], cut.truth[kept])
    np.testing.assert_array_equal(clear.rgb[:, kept], cut.rgb[:, kept])


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.9])
def test_no_data_is_the_same_wedge_in_all_layers(share):
    scene = simulate(spec(height=90, width=150, nodata=share, cloud=0.6))
    outside = scene.truth == IGNORE
    assert outside.mean() == pytest.approx(share, abs=0.002)
    np.testing.assert_array_equal(outside, (scene.rgb == 0).all(axis=0))
    np.testing.assert_array_equal(outside, (scene.rgb == 0).any(axis=0))
    assert not scene.cloud[outside].any()
    assert not scene.shadow[outside].any()


def test_the_wedge_has_one_straight_edge():
    outside = simulated(nodata=0.3).truth == IGNORE
    # Seen along any row or column, it is entered or left at most once.
    for axis in (0, 1):
        assert np.abs(np.diff(outside.astype(np.int8), axis=axis)).sum(axis=axis).max() == 1


@pytest.mark.parametrize(("height", "width"), [(2, 2), (7, 3), (2, 300), (300, 2), (31, 257)])
def test_any_size_works(height, width):
    scene = simulate(spec(height=height, width=width, cloud=0.5))
    assert scene.rgb.shape == (3, height, width)
    assert scene.rgb.min() >= 1
    assert (scene.truth != IGNORE).all()


@pytest.mark.parametrize("number", range(8))
def test_scenes_of_every_kind_hold_about_the_ice_asked_for(number):
    kind = variety(8, height=SIDE, width=SIDE, seed=3)[number].model_copy(update={"nodata": 0.0})
    water, thin, thick = shares(simulate(kind))
    assert min(water, thin, thick) > 0.01
    assert thin + thick == pytest.approx(kind.ice_cover, abs=0.005)
    # Whole floes are thick or not, so in a small picture the split is coarse.
    assert thick == pytest.approx(kind.ice_cover * (1 - kind.thin_share), abs=0.06)


@pytest.mark.parametrize(("ice_cover", "thin_share", "only"), [
    (0.0, 0.5, IceClass.WATER), (1.0, 1.0, IceClass.THIN_ICE),
])  # fmt: skip
def test_extreme_amounts_leave_one_class(ice_cover, thin_share, only):
    scene = simulate(spec(height=64, width=64, ice_cover=ice_cover, thin_share=thin_share))
    assert (scene.truth == only).all()


def test_thresholds_are_nearly_right_under_a_clear_sky():
    clear = [
        simulate(kind.model_copy(update={"cloud": 0.0}))
        for kind in variety(8, height=SIDE, width=SIDE, seed=1)
    ]
    agreements = [agreement(scene) for scene in clear]
    # Blended edges, texture and noise make honest errors: never perfect, never bad. Edges weigh more in
    # small pictures, whose floes are small; at 1024 pixels the agreement is 0.97 to 0.99.
    assert min(agreements) > 0.92
    assert max(agreements) < 0.995
    assert 0.955 < np.mean(agreements) < 0.985


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_more_cloud_makes_thresholds_worse(seed):
    clear, thin, heavy = (agreement(simulated(seed=seed, cloud=cloud)) for cloud in (0.0, 0.4, 0.8))
    assert clear - 0.02 > thin > heavy
    assert 0.6 < thin < 0.95


def test_cloud_lifts_water_and_shadow_darkens_thick_ice():
    clear, cloudy = simulated(ice_cover=0.7), simulated(ice_cover=0.7, cloud=0.7)
    before, after = (brightness(scene.rgb).astype(int) for scene in (clear, cloudy))
    veiled = (clear.truth == IceClass.WATER) & (cloudy.cloud > 0.25) & (cloudy.shadow < 0.2)
    assert (after[veiled] > 30).mean() > 0.9
    shaded = (clear.truth == IceClass.THICK_ICE) & (cloudy.shadow > 0.5) & (cloudy.cloud < 0.2)
    assert 120 < np.median(after[shaded]) < 205 <= np.median(before[shaded])


def test_a_shadow_is_displaced_from_its_cloud():
    scene = simulate(spec(height=512, width=512, cloud=0.4))
    assert abs(np.corrcoef(scene.cloud.ravel(), scene.shadow.ravel())[0, 1]) < 0.6
    assert (scene.shadow > 0.3).mean() > 0.02


def test_classes_are_as_bright_and_as_coloured_as_in_ross_sea_pictures():
    """Bounds from the true-colour picture sceneA: V and R, G, B of its threshold classes."""
    scenes = [simulated(seed=seed, ice_cover=0.8, thin_share=0.4) for seed in range(4)]
    rgb = np.concatenate([scene.rgb.reshape(3, -1) for scene in scenes], axis=1)
    truth = np.concatenate([scene.truth.ravel() for scene in scenes])
    value = rgb.max(axis=0)
    water, thin, thick = (np.percentile(value[truth == code], [5, 50, 95]) for code in CLASS_CODES)
    assert water[0] > 5
    assert 12 < water[1] < 26
    assert thin[0] > 31
    assert 60 < thin[1] < 120
    assert 120 < thin[2] < 204
    assert thick[0] > 205
    assert 235 < thick[1] < 252
    assert thick[2] > 248
    for code, whitest in ((IceClass.WATER, 0.98), (IceClass.THIN_ICE, 0.995), (IceClass.THICK_ICE, 1.0)):
        bands = rgb[:, truth == code].mean(axis=1)
        assert 0.5 < bands.min() / bands.max() <= whitest


def test_brightness_of_classes_resembles_the_real_picture():
    real = planar(real_picture("sceneA_rgb.png")[:480, 530:])  # floes and leads, no cloud to speak of
    scenes = [simulated(seed=seed, ice_cover=0.84, thin_share=0.38) for seed in range(4)]
    made = np.concatenate([brightness(scene.rgb).ravel() for scene in scenes])
    found = brightness(real).ravel()
    for low, high, tolerance in ((1, 30, 8), (31, 204, 25), (205, 255, 8)):
        quartiles = [np.percentile(v[(v >= low) & (v <= high)], [25, 50, 75]) for v in (made, found)]
        np.testing.assert_allclose(*quartiles, atol=tolerance)


def test_variety_differs_and_is_named_in_order():
    specs = variety(10, height=64, width=64, seed=4)
    assert [one.scene_id for one in specs[:2]] == ["ross-01", "ross-02"]
    assert len({one.seed for one in specs}) == len({one.scene_id for one in specs}) == 10
    assert len({placement(one) for one in specs}) == 10
    assert any(one.cloud > 0 for one in specs)
    assert any(one.cloud == 0 for one in specs)
    assert any(one.nodata > 0 for one in specs)
    assert max(one.thin_share for one in specs) > 0.4 > 0.15 > min(one.thin_share for one in specs)
    assert {one.seed for one in specs}.isdisjoint(
        one.seed for one in variety(10, height=64, width=64, seed=5)
    )


@pytest.mark.parametrize("wrong", [
    {"height": 1}, {"cloud": 1.5}, {"nodata": 0.95}, {"crs": "EPSG:4326"}, {"crs": "nowhere"},
    {"scene_id": "../up"}, {"scene_id": "a.truth"}, {"pixel_size": 0},
])  # fmt: skip
def test_impossible_specifications_are_refused(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        spec(**wrong)


@pytest.mark.parametrize(("height", "width"), [(300, 280), (7, 3)])
def test_written_scene_and_sidecars_read_back(tmp_path, height, width):
    wanted = spec(height=height, width=width, cloud=0.5, nodata=0.2)
    path = write_scene(tmp_path / "new", wanted)
    scene = simulate(wanted)
    assert path == tmp_path / "new" / "test-01.tif"
    assert sorted(p.name for p in path.parent.iterdir()) == sorted(
        f"test-01{kind}.tif" for kind in ("", *SIDECARS)
    )
    layers = {"": scene.rgb, ".truth": scene.truth[None], ".cloud": scene.cloud[None],
              ".shadow": scene.shadow[None]}  # fmt: skip
    for kind, expected in layers.items():
        with rasterio.open(path.with_name(f"test-01{kind}.tif")) as raster:
            np.testing.assert_array_equal(raster.read(), expected)
            assert raster.dtypes[0] == str(expected.dtype)
            assert raster.crs.to_epsg() == 3031
            assert raster.transform == placement(wanted)
            # Classes are a COG, which has tiles however small it is.
            assert raster.profile["tiled"] == (kind == ".truth" or height >= 256)


def test_written_picture_declares_its_colours_and_no_data(tmp_path):
    path = write_scene(tmp_path, spec(nodata=0.2))
    with rasterio.open(path) as raster:
        assert [band.name for band in raster.colorinterp] == ["red", "green", "blue"]
        assert raster.nodatavals == (0, 0, 0)
        valid = raster.dataset_mask() > 0
    with rasterio.open(truth_path(path)) as truth:
        assert truth.nodata == IGNORE
        np.testing.assert_array_equal(truth.read(1) != IGNORE, valid)


@pytest.mark.parametrize(
    ("crs", "pixel_size"), [("EPSG:3031", 10.0), ("EPSG:32758", 20.0), ("EPSG:3976", 10.0)]
)
def test_scenes_lie_in_the_ross_sea_on_a_whole_grid(crs, pixel_size):
    for seed in range(10):
        wanted = spec(crs=crs, pixel_size=pixel_size, seed=seed)
        transform = placement(wanted)
        assert (transform.a, transform.b, transform.d, transform.e) == (pixel_size, 0, 0, -pixel_size)
        assert transform.c % pixel_size == transform.f % pixel_size == 0
        [longitude], [latitude] = rasterio.warp.transform(crs, "EPSG:4326", [transform.c], [transform.f])
        assert -77 < latitude < -71
        assert 160 < longitude % 360 < 200


def test_a_failed_write_leaves_no_picture(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr("labeling.simulation.scene.write_bands", fail)
    with pytest.raises(OSError, match="disk full"):
        write_scene(tmp_path, spec(height=64, width=64))
    assert not (tmp_path / "test-01.tif").exists()


def test_truth_path_lies_beside_the_scene():
    assert truth_path(Path("scenes/ross-01.tif")) == Path("scenes/ross-01.truth.tif")
