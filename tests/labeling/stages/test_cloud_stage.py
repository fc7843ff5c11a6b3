"""Clouds as part of a scene's stages: any cut finds the same ones, and each native block is decoded once."""

import json
from collections import Counter

import numpy as np
import pystac
import pytest
import rasterio
from array_scene import ArrayScene
from conftest import patchwork, planar
from safe_writer import ProductSpec, native_dn, write_product
from stage_runs import label_cut, labels_of, whole

from labeling.bands import Band
from labeling.errors import SceneError
from labeling.grid import Block, blocks
from labeling.ice.profile import load_profile
from labeling.masks.clouds.detector import DETECTOR_BANDS
from labeling.masks.clouds.find import CloudSettings
from labeling.masks.clouds.products import CloudClass
from labeling.scenes.contract.product import BandLayout
from labeling.scenes.open import open_scene
from labeling.scenes.products.safe.reader import SafeProduct
from labeling.simulation.product import write_product_scene
from labeling.simulation.scene import SceneSpec
from labeling.stages.clouds import native_blocks
from labeling.stages.steps import Recipe

PROFILE = load_profile("polynya-l1c")
BOTH = CloudSettings(sources=("s2cloudless", "product"), resolution=60)


@pytest.fixture(scope="module")
def cloudy(tmp_path_factory):
    """A simulated L1C product under much cloud."""
    folder = tmp_path_factory.mktemp("products")
    return write_product_scene(folder, SceneSpec(scene_id="cloudy", height=240, width=300, seed=4, cloud=1.0))


def label(path, folder, clouds, cut=None):
    with open_scene(str(path), PROFILE.rendering) as scene:
        recipe = Recipe(PROFILE, clouds=clouds)
        return whole(folder, scene, recipe) if cut is None else label_cut(scene, cut, folder, recipe)


def read_clouds(folder):
    with rasterio.open(folder / "labels/clouds.tif") as raster:
        return raster.read(), raster.transform


@pytest.mark.parametrize("clouds", [BOTH, CloudSettings(sources=("product",), resolution=160)])
def test_any_cut_finds_the_same_clouds_and_labels_leave_them_out(tmp_path, cloudy, clouds):
    plain = label(cloudy, tmp_path / "plain", CloudSettings())
    labels = label(cloudy, tmp_path / "whole", clouds)
    found, transform = read_clouds(tmp_path / "whole")
    side = clouds.resolution // 10
    cloud = (found[1] != CloudClass.CLEAR) & (found[1] != 255)
    at_pixels = np.kron(cloud, np.ones((side, side), bool))[: labels.shape[0], : labels.shape[1]]
    assert 0.02 < at_pixels.mean() < 0.98
    np.testing.assert_array_equal(labels == 255, at_pixels | (plain == 255))
    assert transform.a == clouds.resolution
    done = json.loads((tmp_path / "whole/labels/done.json").read_text())
    assert done["excluded"]["cloud"] == at_pixels.sum()
    assert {"clouds.tif", "item.json"} <= set(done["files"])
    item = pystac.Item.from_file(str(tmp_path / "whole/labels/item.json"))
    named = {f"{name}{end}" for name in ("labels", "status") for end in ("", ".qml", ".tif.aux.xml")}
    assert set(item.assets) == {"clouds", "shadow", *named}
    assert item.properties["polynya:profile"] == "polynya-l1c"
    for cut in ((70, 110), (128, 300)):
        folder = tmp_path / f"{cut}"
        np.testing.assert_array_equal(label(cloudy, folder, clouds, cut), labels)
        np.testing.assert_array_equal(read_clouds(folder)[0], found)
        np.testing.assert_array_equal(labels_of(folder), labels)


def test_each_native_block_is_decoded_once(tmp_path, cloudy, monkeypatch):
    read, seen = SafeProduct.read_native, Counter()

    def counting(self, band, block=None):
        seen[band, block] += 1
        return read(self, band, block)

    monkeypatch.setattr(SafeProduct, "read_native", counting)
    with open_scene(str(cloudy), PROFILE.rendering) as scene:
        whole(tmp_path, scene, Recipe(PROFILE, clouds=CloudSettings(sources=("s2cloudless",))))
        layouts = {band: scene.product.layout(band) for band in DETECTOR_BANDS}
    assert set(seen.values()) == {1}
    for band, layout in layouts.items():
        assert sum(b.height * b.width for named, b in seen if named is band) == (
            240 * 300 // (layout.resolution // 10) ** 2
        )


@pytest.mark.parametrize(("resolution", "rows", "columns"), [(10, 1024, 1024), (20, 640, 640), (60, 192, 50)])
@pytest.mark.parametrize("size", [500, 1024, 3000])
def test_native_blocks_belong_to_one_block_each(resolution, rows, columns, size):
    layout = BandLayout(resolution, rows, columns)
    shape = {"height": 2400, "width": 3600}
    seen = np.zeros((2400 * 10 // resolution, 3600 * 10 // resolution), int)
    for block in blocks(**shape, size=size):
        for native in native_blocks(layout, block, **shape):
            seen[native.slices] += 1
    assert (seen == 1).all()


def test_l2a_given_to_s2cloudless_is_refused_with_the_way_out(tmp_path):
    spec = ProductSpec("L2A")
    dn = native_dn(np.full((13, 60, 60), 0.15), spec)
    path = write_product(tmp_path, dn, spec)
    with open_scene(str(path), "tci-l2a") as scene:
        recipe = Recipe(
            PROFILE.model_copy(update={"rendering": "tci-l2a"}),
            clouds=CloudSettings(sources=("s2cloudless",)),
        )
        with pytest.raises(SceneError, match=r"is L2A, and s2cloudless is made for L1C.*'product'"):
            whole(tmp_path, scene, recipe)
    assert not (tmp_path / "labels").exists()


def test_a_picture_has_no_bands_to_find_clouds_in(tmp_path):
    recipe = Recipe(load_profile("polynya"), clouds=CloudSettings(sources=("product",)))
    with pytest.raises(SceneError, match="is a picture"):
        whole(tmp_path, ArrayScene(planar(patchwork(40, 40))), recipe)


def test_scene_classification_of_l2a_is_a_source(tmp_path):
    spec = ProductSpec("L2A")
    dn = native_dn(np.full((13, 120, 120), 0.15), spec)
    path = write_product(tmp_path, dn, spec)
    with open_scene(str(path), "tci-l2a") as scene:
        codes = scene.product.read_layer("SCL", Block(0, 0, 120, 120))
        profile = PROFILE.model_copy(update={"rendering": "tci-l2a"})
        whole(tmp_path, scene, Recipe(profile, clouds=CloudSettings(sources=("product",), resolution=60)))
    assert set(np.unique(codes)) == {11}  # snow or ice, which is clear
    assert (read_clouds(tmp_path)[0][1] == CloudClass.CLEAR).all()


def test_bands_in_their_own_order():
    assert DETECTOR_BANDS[4:7] == (Band.B08, Band.B8A, Band.B09)
