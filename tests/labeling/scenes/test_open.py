"""What a scene can be drawn as, and what is said of one that cannot."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import patchwork
from pictures import write_tif
from safe_writer import ProductSpec, native_dn, write_product
from stack_writer import write_stack

from labeling.errors import SceneError
from labeling.grid import Block
from labeling.scenes.contract.product import TRUE_COLOUR
from labeling.scenes.contract.rayleigh import Angles, rayleigh_corrected
from labeling.scenes.open import open_scene
from labeling.simulation.safe.spec import Direction

RENDERING = "rayleigh-v1-1.3"
WHOLE = Block(0, 0, 60, 60)
STATED = {
    "PRODUCT_TYPE": "L1C", "SUN_ZENITH": "61", "SUN_AZIMUTH": "55", "VIEW_ZENITH": "4", "VIEW_AZIMUTH": "200",
}  # fmt: skip


def reflectance(side=60):
    """13 bands at 10 m: everything from dark water to snow, some no-data."""
    values = np.broadcast_to(np.linspace(0.02, 1.1, side * side).reshape(side, side), (13, side, side)).copy()
    values[:, :4, :4] = np.nan
    return values


def corrected(values, angles, unit):
    """Return the picture that the public function and a literal scale give, u8."""
    surface = rayleigh_corrected(values.astype(np.float32), TRUE_COLOUR, angles, unit=unit)
    picture = np.clip(np.rint(surface / np.float32(1.3) * 255), 1, 255)
    return np.where(np.isnan(surface), 0, picture)


@pytest.mark.parametrize("unit", "ABC")
def test_a_product_is_drawn_without_its_air_by_its_own_angles(tmp_path, unit):
    view = tuple(Direction(2.0 + 0.5 * index, 190.0 + index) for index in range(13))
    spec = replace(ProductSpec(unit=unit), sun_zenith=66.0, sun_azimuth=40.0, view=view)
    path = write_product(tmp_path, native_dn(reflectance(), spec), spec)
    with open_scene(str(path), RENDERING) as scene:
        rgb, valid, _ = scene.read(WHOLE)
        values = scene.product.read(WHOLE, TRUE_COLOUR).values
        assert scene.info.unit == unit
        # What crosses to a worker says the same.
        assert type(scene.info).loads(scene.info.dumps()).light == scene.info.light
    angles = [Angles(66.0, 40.0, *view[index]) for index in (3, 2, 1)]
    expected = corrected(values, angles, unit)
    np.testing.assert_allclose(rgb, expected, atol=1)  # a level: rounding in another order
    assert (rgb != expected).mean() < 0.01
    np.testing.assert_array_equal(rgb == 0, np.broadcast_to(~valid, rgb.shape))


def test_any_cut_gives_the_same_picture(tmp_path):
    path = write_product(tmp_path, native_dn(reflectance(), ProductSpec()), ProductSpec())
    with open_scene(str(path), RENDERING) as scene:
        whole = scene.read(WHOLE).rgb
        for rows, columns in ((7, 60), (60, 11), (13, 17)):
            for row in range(0, 60, rows):
                for column in range(0, 60, columns):
                    block = Block(row, column, min(rows, 60 - row), min(columns, 60 - column))
                    np.testing.assert_array_equal(scene.read(block).rgb, whole[:, *block.slices])


def test_ozone_can_be_stated(tmp_path):
    path = write_product(tmp_path, native_dn(reflectance(), ProductSpec()), ProductSpec())
    with open_scene(str(path), RENDERING) as scene, open_scene(str(path), f"{RENDERING}-ozone150") as other:
        brighter = scene.read(WHOLE).rgb.astype(int) - other.read(WHOLE).rgb
    assert (brighter >= 0).all()
    assert brighter[1].max() > brighter[2].max()  # ozone takes green, and hardly blue


@pytest.mark.parametrize("lost", ["SUN_AZIMUTH", "VIEW_ZENITH", "VIEW_AZIMUTH", "SUN_ZENITH"])
def test_a_stack_without_its_angles_is_refused_and_the_advice_works(tmp_path, lost):
    dn = np.nan_to_num(reflectance()[:3] * 10_000).astype(np.uint16)
    tags = {name: text for name, text in STATED.items() if name != lost}
    path = write_stack(tmp_path / "a.tif", dn, scale=1e-4, offset=0, tags=tags)
    with (
        pytest.raises(SceneError, match="where sun and satellite stood") as told,
        open_scene(str(path), RENDERING),
    ):
        pass
    [advice] = [part for part in str(told.value).split("`") if "rio " in part]
    tools = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = ["bash", "-c", advice.replace("FILE", str(path))]
    subprocess.run(command, check=True, env=os.environ | {"PATH": tools})
    with open_scene(str(path), RENDERING) as scene:
        assert scene.read(WHOLE).rgb.any()


@pytest.mark.parametrize(
    ("name", "rendering"),
    [
        ("T58CDU_20191103T203901_TCI.tif", "tci-l1c"),
        ("T58CDU_20191103T203901_TCI_10m.tif", "tci-l2a"),
        ("S2A_58CDU_20191103_0_L2A/TCI.tif", "tci-l2a"),
    ],
)
def test_true_colour_images_are_known_by_their_name(tmp_path, name, rendering):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    path = write_tif(tmp_path / name, patchwork(60, 60).transpose(2, 0, 1))
    with open_scene(str(path)) as scene:
        assert scene.info.renderings == [rendering]
    with (
        pytest.raises(SceneError, match=r"true-colour image.*grey ice and snow alike.*B02"),
        open_scene(str(path), "rgb8"),
    ):
        pass


@pytest.mark.parametrize("name", ["tcia.tif", "nottci.tif", "ross-TCI-mosaic.tif"])
def test_other_names_are_pictures(tmp_path, name):
    path = write_tif(tmp_path / name, patchwork(60, 60).transpose(2, 0, 1))
    with open_scene(str(path), "rgb8") as scene:
        assert scene.info.renderings == ["rgb8"]
