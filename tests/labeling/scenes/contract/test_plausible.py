"""Reflectance that cannot be refuses a scene, however it is cut; real pixels and single odd ones do not."""

from contextlib import contextmanager

import numpy as np
import pytest
import rasterio
from advice import commands, follow
from array_scene import ArrayScene
from conftest import DATA
from stack_writer import write_stack
from stage_runs import label_cut, labels_of, whole

from labeling.errors import SceneError
from labeling.grid import Block
from labeling.ice.profile import load_profile
from labeling.scenes.contract.plausible import HIGHEST, check_reflectance
from labeling.scenes.open import open_scene
from labeling.stages.steps import Recipe

RAW = load_profile("iqrah-2024-raw-l1c").model_copy(update={"nodata": "ignore"})
SIDE = 96
NAMES = ("B4", "B3", "B2")
L1C = {"PRODUCT_TYPE": "L1C"}


def snow(dtype=np.float32):
    """DN of snow with a strip of water and one without data, the offset of 1000 in them."""
    dn = np.random.default_rng(1).integers(7500, 9500, (3, SIDE, SIDE)).astype(dtype)
    dn[:, 60:] = 1250
    dn[:, :5] = np.nan if np.issubdtype(dtype, np.floating) else 0
    return dn


def refused_in_any_cut(path, folder):
    messages = set()
    for cut in ((SIDE, SIDE), (17, 40), (SIDE, 1)):
        with pytest.raises(SceneError) as caught, open_scene(str(path), RAW.rendering) as scene:
            label_cut(scene, cut, folder, Recipe(RAW))
        messages.add(str(caught.value))
    (message,) = messages
    assert "looks like DN" in message
    assert str(path) in message
    return message


@contextmanager
def labelled(path, folder):
    with open_scene(str(path), RAW.rendering) as scene:
        whole(folder, scene, Recipe(RAW))
    yield labels_of(folder)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dn_in_floating_point_are_refused_and_the_advice_makes_them_right(tmp_path, dtype):
    path = write_stack(tmp_path / "dn.tif", snow(dtype), NAMES, tags=L1C)
    message = refused_in_any_cut(path, tmp_path)
    assert "100.0%" in message
    follow(commands(message)[0])
    right = write_stack(tmp_path / "right.tif", (snow(dtype) - 1000) / 10_000, NAMES, tags=L1C)
    with labelled(path, tmp_path / "a") as found, labelled(right, tmp_path / "b") as expected:
        np.testing.assert_array_equal(found, expected)
        assert set(np.unique(found)) == {0, 1, 2, 255}


def test_an_offset_that_was_subtracted_below_zero_is_refused(tmp_path):
    dn = snow(np.uint16)
    dn[:, 60:] = 65_516  # 980 less the offset of 1000
    path = write_stack(tmp_path / "a.tif", dn, NAMES, scale=0.0001, offset=0, tags=L1C)
    assert "65,000" in refused_in_any_cut(path, tmp_path)


def test_an_offset_stated_for_pixels_that_it_is_not_of_is_refused(tmp_path):
    dn = np.full((3, SIDE, SIDE), 250, np.uint16)
    path = write_stack(tmp_path / "a.tif", dn, NAMES, scale=0.0001, offset=-0.3, tags=L1C)
    refused_in_any_cut(path, tmp_path)


def test_single_pixels_count_as_saturated_or_as_no_data(tmp_path):
    values = (snow() - 1000) / 10_000
    values[:, 20, 30] = 2.5  # as of a slope that faces a low sun
    values[:, 20, 31] = 6.4516  # as of 65516
    values[0, 20, 32] = -0.3
    values[:, 20, 33] = np.inf
    path = write_stack(tmp_path / "a.tif", values, NAMES, tags=L1C)
    with open_scene(str(path), RAW.rendering) as scene:
        rgb, valid, beyond = scene.read(Block(20, 29, 1, 6))
    assert valid[0].tolist() == [True, True, False, False, False, True]
    assert beyond[0].tolist() == [False, True, True, True, False, False]
    assert (rgb[:, 0, 1] == 255).all()
    with labelled(path, tmp_path) as found:
        assert (found[20, 31:34] == 255).all()
        assert found[20, 30] == 2


def test_saturated_dn_are_bright_by_right(tmp_path):
    dn = snow(np.uint16)
    dn[:, 10:30] = 65_535
    path = write_stack(tmp_path / "a.tif", dn, NAMES, scale=0.0001, offset=-0.1, tags=L1C)
    with labelled(path, tmp_path) as found:
        assert (found[10:30] == 2).all()


def test_a_share_decides_and_a_scene_without_data_does_not_divide_by_it():
    info = ArrayScene(np.zeros((3, 1, 1), np.uint8)).info
    check_reflectance(info, beyond=100, pixels=10_000)
    check_reflectance(info, beyond=0, pixels=0)
    with pytest.raises(SceneError, match=r"1\.0% of its pixels would lie above 2 or below -0\.2"):
        check_reflectance(info, beyond=101, pixels=10_000)


REAL = (
    ("l1c-13band/*.tif", 0.0),
    ("terramesh/S2L1C/282D*.tif", -0.1),
    ("terramesh/S2L1C/38D*.tif", 0.0),
    ("terramesh/S2L2A/*.tif", 0.0),
    ("greenland-ice/*B0*.tif", 0.0),
)


@pytest.mark.parametrize(("pattern", "offset"), REAL)
def test_no_real_pixels_are_beyond_belief(pattern, offset):
    files = sorted(DATA.glob(pattern))
    if not files:
        pytest.skip(f"real data not present: {DATA / pattern} (POLYNYA_DATA names another folder)")
    for file in files:
        with rasterio.open(file) as raster:
            dn = raster.read().astype(np.float64)
        values = dn[(dn != 0) & (dn != 65_535)] / 10_000 + offset
        assert (values > HIGHEST).mean() < 1e-3, file
        assert (values < -0.2).mean() == 0, file
