"""Pictures whose bands are named, in another order, or too deep: names decide, and advice works."""

import shutil

import numpy as np
import pytest
import rasterio
from advice import commands, follow
from conftest import DATA, patchwork, planar
from pictures import write_tif

from labeling.errors import SceneError
from labeling.grid import Block
from labeling.scenes.open import open_scene
from labeling.scenes.picture import open_picture

WHOLE = Block(0, 0, 60, 70)
RGB = planar(patchwork(60, 70, seed=2))


def named(path, bands, names, **options):
    write_tif(path, bands, **options)
    with rasterio.open(path, "r+") as raster:
        raster.descriptions = names
    return path


def read(path):
    with open_picture(path) as picture:
        return picture.read(WHOLE).rgb


def refused(path):
    with pytest.raises(SceneError) as caught, open_picture(path):
        pass
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("names", [("B2", "B3", "B4"), ("blue", "green", "red"), ("B02", "B03", "B04 - red")])
def test_names_decide_which_band_is_which_colour(tmp_path, names):
    np.testing.assert_array_equal(read(named(tmp_path / "a.tif", RGB[::-1], names)), RGB)


def test_of_many_named_bands_the_colours_are_taken(tmp_path):
    bands = np.concatenate([RGB[::-1], RGB[:1]])
    path = named(tmp_path / "a.tif", bands, ("B2", "B3", "B4", "B8"), photometric="MINISBLACK")
    np.testing.assert_array_equal(read(path), RGB)


@pytest.mark.parametrize("names", [("B8", "B4", "B3"), ("B2", "B2", "B4")])
def test_names_of_no_true_colour_are_refused_and_the_advice_works(tmp_path, names):
    path = named(tmp_path / "a.tif", RGB, names)
    message = refused(path)
    assert ", ".join(names) in message
    (command,) = commands(message)
    for index, band in enumerate(("B04", "B03", "B02"), start=1):
        follow(command.replace("-b 1", f"-b {index}").replace("B04", band))
    np.testing.assert_array_equal(read(path), RGB)


@pytest.mark.parametrize("suffix", ["tif", "png"])
def test_8_bit_values_of_16_bit_become_the_same_picture(tmp_path, suffix):
    path = write_tif(
        tmp_path / f"deep.{suffix}", RGB.astype(np.uint16), driver={"tif": "GTiff"}.get(suffix, "PNG")
    )
    (command,) = commands(refused(path))
    follow(command, tmp_path)
    np.testing.assert_array_equal(read(tmp_path / "rgb.tif"), RGB)


@pytest.mark.parametrize(("way", "offset"), [(0, -1000), (1, 0)])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_dn_become_a_stack_by_the_advice(tmp_path, way, offset, dtype):
    dn = np.full((3, 60, 70), 1250, dtype)
    dn[:, :, 35:] = 7000
    dn[:, :5] = 0
    path = write_tif(tmp_path / "dn.tif", dn, crs="EPSG:32758", nodata=0)
    naming, *ways = commands(refused(path))
    follow(naming)
    follow(ways[way])
    with open_scene(str(path), "linear-1.0") as scene:
        rgb, valid, _ = scene.read(WHOLE)
    assert not valid[:5].any()
    assert valid[5:].all()
    assert rgb[0, 30, 10] == round(255 * (1250 + offset) / 10_000)
    assert rgb[0, 30, 60] == round(255 * (7000 + offset) / 10_000)


def test_reflectance_without_names_is_named_by_the_advice(tmp_path):
    path = write_tif(tmp_path / "a.tif", np.full((3, 60, 70), 0.4, np.float32), crs="EPSG:32758")
    message = refused(path)
    assert "look like reflectance" in message
    follow(commands(message)[0])
    with open_scene(str(path), "linear-1.0") as scene:
        assert (scene.read(WHOLE).rgb == 102).all()


@pytest.mark.parametrize("name", ["282D_485L_3_3.tif", "38D_378R_2_3.tif"])
def test_a_real_rgb_tile_is_read_and_its_dn_are_not(tmp_path, name):
    folder = DATA / "terramesh"
    if not folder.exists():
        pytest.skip(f"real data not present: {folder} (POLYNYA_DATA names another folder)")
    with open_picture(folder / "S2RGB" / name) as picture:
        assert picture.info.height == 224
    assert "13 colour band(s)" in refused(folder / "S2L1C" / name)


@pytest.mark.parametrize(
    ("count", "words"),
    [(1, "rio stack --rgb red.tif green.tif blue.tif"), (2, "A colour is missing"), (4, "")],
)
def test_the_advice_depends_on_how_many_bands_there_are(tmp_path, count, words):
    bands = np.concatenate([RGB[::-1], RGB[:1]])[:count]
    path = write_tif(tmp_path / "a.tif", bands, photometric="MINISBLACK")
    message = refused(path)
    assert f"{count} colour band(s)" in message
    assert words in message
    if count == 4:
        follow(commands(message)[0], tmp_path)
        np.testing.assert_array_equal(read(tmp_path / "rgb.tif"), RGB)
    if count == 1:
        for colour in ("red", "green", "blue"):
            shutil.copy(path, tmp_path / f"{colour}.tif")
        follow(commands(message)[0], tmp_path)
        assert read(tmp_path / "rgb.tif").shape == (3, 60, 70)
