"""status.tif says why a pixel has a class or none, and is the same file for any cut."""

import json

import cv2
import numpy as np
import pytest
import rasterio
from array_scene import ArrayScene
from conftest import patchwork, planar
from rasterio.crs import CRS
from rasterio.features import rasterize
from rasterio.transform import from_origin
from safe_writer import ProductSpec, native_dn, write_product
from shapely.geometry import box, mapping
from stage_runs import label_cut, whole

from labeling.ice.profile import load_profile
from labeling.masks.clouds.find import CloudSettings
from labeling.masks.clouds.products import CloudClass
from labeling.masks.land import LandSettings
from labeling.scenes.open import open_scene
from labeling.simulation.product import write_product_scene
from labeling.simulation.scene import SceneSpec, simulate
from labeling.stages.steps import Recipe
from labeling.status import PixelStatus

GRID = {"crs": CRS.from_epsg(32758).to_wkt(), "transform": [*from_origin(500_000, 1_700_000, 10, 10)[:6]]}
CLASSED = [PixelStatus.CLASSIFIED, PixelStatus.LOW_SUN, PixelStatus.DOUBT]


def read(folder, name, band=1):
    with rasterio.open(folder / "labels" / name) as raster:
        return raster.read(band)


def doubts_of(folder):
    return [doubt["code"] for doubt in json.loads((folder / "labels/done.json").read_text())["doubts"]]


def check(folder):
    """What holds for labels of any scene; return their status."""
    labels, status = read(folder, "labels.tif"), read(folder, "status.tif")
    np.testing.assert_array_equal(labels != 255, np.isin(status, CLASSED))
    counts = {s.name.lower(): int((status == s).sum()) for s in PixelStatus}
    assert json.loads((folder / "labels/done.json").read_text())["status"] == counts
    assert sum(counts.values()) == status.size
    return status


def write_land(path, place, epsg):
    crs = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{epsg}"}}
    feature = {"type": "Feature", "properties": {}, "geometry": mapping(place)}
    path.write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": [feature]}))
    return LandSettings(vector=path)


def test_clouds_land_and_nodata_have_their_codes_for_any_cut(tmp_path):
    spec = SceneSpec(scene_id="cloudy", height=240, width=300, seed=4, cloud=1.0, nodata=0.1)
    product = write_product_scene(tmp_path / "products", spec)
    profile, clouds = load_profile("polynya-l1c"), CloudSettings(sources=("product",), resolution=160)
    with open_scene(str(product), profile.rendering) as scene:
        info = scene.info
        left, top = info.affine.c, info.affine.f
        place = box(left, top - 2000, left + 800, top - 500)
        land = write_land(tmp_path / "land.geojson", place, CRS.from_wkt(info.crs).to_epsg())
        recipe = Recipe(profile, land=land, clouds=clouds)
        whole(tmp_path / "whole", scene, recipe)
        found = {(tmp_path / "whole/labels/status.tif").read_bytes()}
        for cut in ((70, 110), (128, 300)):
            label_cut(scene, cut, tmp_path / f"{cut}", recipe)
            found.add((tmp_path / f"{cut}" / "labels/status.tif").read_bytes())
        valid = scene.read(scene_block(info)).valid
    assert len(found) == 1
    status = check(tmp_path / "whole")
    cells = read(tmp_path / "whole", "clouds.tif", 2)
    cloudy = np.kron((cells != CloudClass.CLEAR) & (cells != 255), np.ones((16, 16), bool))[:240, :300]
    on_land = rasterize([mapping(place)], status.shape, transform=info.affine).astype(bool)
    expected = np.where(cloudy, PixelStatus.CLOUD, 99)
    expected[on_land] = PixelStatus.LAND
    expected[~valid] = PixelStatus.NODATA
    without = expected != 99
    assert {PixelStatus.CLOUD, PixelStatus.LAND, PixelStatus.NODATA} <= set(np.unique(expected))
    np.testing.assert_array_equal(status[without], expected[without])
    assert np.isin(status[~without], CLASSED).all()


def scene_block(info):
    from labeling.grid import Block

    return Block(0, 0, info.height, info.width)


def test_pixels_among_soft_edges_are_in_doubt(tmp_path):
    rgb = simulate(SceneSpec(scene_id="soft", height=300, width=420, seed=2, cloud=0.3)).rgb
    profile, side = load_profile("polynya"), 24
    guard = profile.guard.model_copy(update={"cell": side})
    small = profile.thin_clouds.model_copy(update={"guard": guard})
    recipe = Recipe(profile.model_copy(update={"thin_clouds": small}))
    whole(tmp_path, ArrayScene(rgb, np.ones(rgb.shape[1:], bool), **GRID), recipe)
    status, softness = check(tmp_path), read(tmp_path, "shadow.tif", 2)
    assert doubts_of(tmp_path) == []
    # Between the middles of cells, as OpenCV draws them larger.
    speaks = np.pad(np.where(softness > guard.soft_share, np.float32(1), np.float32(-1)), 1, mode="edge")
    large = cv2.resize(speaks, None, fx=side, fy=side, interpolation=cv2.INTER_LINEAR)
    soft = large[side:, side:][:300, :420] > 0
    assert 0.05 < soft.mean() < 0.95
    np.testing.assert_array_equal(status == PixelStatus.DOUBT, soft)
    assert set(np.unique(status)) == {PixelStatus.CLASSIFIED, PixelStatus.DOUBT}


def test_a_scene_in_doubt_is_so_in_every_pixel_that_has_a_class(tmp_path):
    surface = simulate(SceneSpec(scene_id="air", height=400, width=400, seed=5, ice_cover=0.8)).rgb
    valid = np.ones((400, 400), bool)
    valid[:30] = False
    scene = ArrayScene((surface * 0.7 + 40).astype(np.uint8), valid, **GRID)
    whole(tmp_path, scene, Recipe(load_profile("polynya")))
    assert doubts_of(tmp_path) == ["dark-peak"]
    assert (check(tmp_path) == np.where(valid, PixelStatus.DOUBT, PixelStatus.NODATA)).all()


def test_a_place_that_was_lost_says_nothing_about_classes(tmp_path):
    rgb = simulate(SceneSpec(scene_id="sharp", height=200, width=200, seed=2)).rgb
    scene = ArrayScene(rgb, np.ones((200, 200), bool), doubts=[["place-lost", "its place was lost."]])
    whole(tmp_path, scene, Recipe(load_profile("polynya-clear")))
    assert doubts_of(tmp_path) == ["place-lost"]
    assert (check(tmp_path) == PixelStatus.CLASSIFIED).all()


@pytest.mark.parametrize(("zenith", "code"), [(76.1, PixelStatus.LOW_SUN), (60.0, PixelStatus.DOUBT)])
def test_a_low_sun_comes_before_other_doubts(tmp_path, zenith, code):
    spec = ProductSpec(sun_zenith=zenith)
    product = write_product(tmp_path / "scenes", native_dn(np.full((13, 60, 60), 0.5), spec), spec)
    recipe = Recipe(load_profile("polynya-l1c"))
    with open_scene(str(product), recipe.profile.rendering) as scene:
        whole(tmp_path / "out", scene, recipe)
    assert len(doubts_of(tmp_path / "out")) > (code == PixelStatus.LOW_SUN)
    status = check(tmp_path / "out")
    assert set(np.unique(status)) - {PixelStatus.NODATA} == {code}


def test_nodata_that_a_profile_takes_for_water_is_in_doubt(tmp_path):
    valid = np.ones((80, 90), bool)
    valid[:20] = False
    scene = ArrayScene(planar(patchwork(80, 90)), valid)
    profile = load_profile("iqrah-2024-raw")
    assert profile.nodata != "ignore"
    whole(tmp_path, scene, Recipe(profile))
    status = check(tmp_path)
    assert (status[:20] == PixelStatus.DOUBT).all()
    assert (read(tmp_path, "labels.tif")[:20] == 0).all()
