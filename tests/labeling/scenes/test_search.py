"""What a folder holds: an item and not its files, two levels down, and nothing of a run."""

import json
import os

import numpy as np
import pytest
import rasterio
from advice import commands, follow
from conftest import patchwork, planar
from pictures import write_tif
from rasterio.transform import from_origin
from stack_writer import write_stack

from labeling.errors import SceneError
from labeling.grid import Block
from labeling.scenes.open import open_scene
from labeling.scenes.search import own_scenes, scenes_below

RGB = planar(patchwork(60, 70, seed=2))
NAME = "S2B_MSIL2A_20240301T203859_R057_T58CDU_20240301T224421"


def download(folder):
    """Write an item as stac-asset leaves it: item.json beside its bands, classes and picture."""
    folder = folder / NAME
    folder.mkdir(parents=True)
    dn = np.full((1, 60, 60), 3500, np.uint16)
    assets = {}
    for band in ("B02", "B03", "B04"):
        write_stack(folder / f"{band}.tif", dn, (None,), nodata=0)
        scaling = [{"scale": 1e-4, "offset": -0.1, "nodata": 0}]
        assets[band] = {"href": f"./{band}.tif", "raster:bands": scaling}
    classes = np.full((1, 30, 30), 11, np.uint8)
    write_stack(folder / "SCL.tif", classes, (None,), transform=from_origin(399_960, 1_700_040, 20, 20))
    write_stack(folder / "visual.tif", np.full((3, 60, 60), 200, np.uint8), (None,) * 3)
    assets |= {"SCL": {"href": "./SCL.tif"}, "visual": {"href": "./visual.tif"}}
    properties = {
        "datetime": "2024-03-01T20:38:59.024Z", "platform": "Sentinel-2B", "constellation": "sentinel-2",
        "s2:processing_baseline": "05.10", "s2:product_type": "S2MSI2A",
    }  # fmt: skip
    item = {
        "type": "Feature", "stac_version": "1.0.0", "id": NAME, "geometry": None, "links": [],
        "properties": properties, "assets": assets,
    }  # fmt: skip
    (folder / "item.json").write_text(json.dumps(item))
    return folder


def test_an_item_stands_for_its_files(tmp_path):
    folder = download(tmp_path / "downloads")
    item = str(folder / "item.json")
    assert scenes_below(folder) == scenes_below(tmp_path / "downloads") == scenes_below(tmp_path) == [item]
    assert own_scenes(str(path) for path in folder.glob("*")) == [item]
    other = write_tif(folder / "other.tif", RGB)
    assert scenes_below(folder) == [item, str(other)]


@pytest.mark.parametrize("href", ["a\\u0000b.tif", "\\ud800.tif", "x" * 5000, "s3://"])
def test_a_link_that_no_file_can_have_hides_no_scene(tmp_path, href):
    folder = download(tmp_path)
    other = folder / "other.json"
    red = '{"red": {"href": "' + href + '"}}'
    other.write_text('{"type": "Feature", "stac_version": "1.0.0", "assets": ' + red + "}")
    assert scenes_below(folder) == sorted([str(folder / "item.json"), str(other)])


@pytest.mark.parametrize("file", ["B04.tif", "B02.tif", "SCL.tif"])
def test_a_changed_file_of_an_item_changes_its_state(tmp_path, file):
    folder = download(tmp_path)

    def identity():
        with open_scene(str(folder / "item.json")) as scene:
            return scene.info.identity()

    before = identity()
    assert identity() == before
    os.utime(folder / file, ns=(1, 1))
    assert identity() != before


def test_its_picture_is_not_read_for_labels(tmp_path):
    folder = download(tmp_path)
    with open_scene(str(folder / "item.json"), "linear-1.0") as scene:
        assert (scene.read(Block(0, 0, 60, 60)).rgb == round(255 * 0.25)).all()


def test_two_levels_down_and_nothing_of_a_run(tmp_path):
    found = [write_tif(tmp_path / place / "a.tif", RGB) for place in ("", "one", "one/two")]
    write_tif(tmp_path / "one/two/three/a.tif", RGB)
    write_tif(tmp_path / ".cache/a.tif", RGB)
    for mark in ("run/catalog.parquet", "labels/done.json", "chips/chips.json"):
        write_tif(tmp_path / mark.partition("/")[0] / "labels.tif", RGB)
        (tmp_path / mark).touch()
    assert scenes_below(tmp_path) == sorted(map(str, found))


@pytest.mark.parametrize(
    "content",
    ["{", "[" * 100_000, "[]", '{"features": 5}', '{"assets": [1]}', '{"assets": {"a": 1, "b": {"href": 5}}}',
     '{"assets": {"a": {"href": "gs://b/c.tif"}, "b": {"href": "\\u0000.tif"}}}'],
)  # fmt: skip
def test_documents_of_any_shape_are_looked_at(tmp_path, content):
    (tmp_path / "a.json").write_text(content.ljust(40) + '  "stac_version" "type": "Feature"')
    scenes_below(tmp_path)
    (tmp_path / "a.json").write_text(content)
    scenes_below(tmp_path)


# Stacks and what lies beside them


def stack_of_pam(path):
    """Write a stack whose names, scale and offset are in .aux.xml, as ArcGIS and GDAL's profile have them."""
    dn = np.full((3, 60, 60), 1250, np.uint16)
    dn[:, :, 30:] = 7000
    options = {"names": ("B04", "B03", "B02"), "scale": 1e-4, "offset": -0.1, "tags": {"PRODUCT_TYPE": "L1C"}}
    write_stack(path, dn, **options, profile="GeoTIFF")
    beside = path.with_name(f"{path.name}.aux.xml")
    assert "B04" in beside.read_text()
    return beside


def test_names_and_scale_beside_a_stack_are_read_and_part_of_its_state(tmp_path):
    beside = stack_of_pam(tmp_path / "scene.tif")

    def read():
        with open_scene(str(tmp_path / "scene.tif"), "linear-1.0") as scene:
            return scene.info, scene.read(Block(0, 0, 60, 60)).rgb

    before, rgb = read()
    assert before.product_type == "L1C"
    assert (rgb[:, :, :30] == round(255 * 0.025)).all()
    beside.write_text(beside.read_text().replace("-0.1", "-0.11"))
    after, rgb = read()
    assert after.identity() != before.identity()
    assert (rgb[:, :, :30] == round(255 * 0.015)).all()


@pytest.mark.parametrize("internal", [True, False])
def test_a_mask_of_a_stack_is_no_data(tmp_path, internal):
    dn = np.full((3, 60, 60), 7000, np.uint16)
    path = write_stack(tmp_path / "a.tif", dn, scale=1e-4, offset=-0.1)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=internal), rasterio.open(path, "r+") as raster:
        raster.write_mask(np.where(np.arange(60) < 20, 0, 255).astype(np.uint8) * np.ones((60, 1), np.uint8))
    assert (tmp_path / "a.tif.msk").exists() != internal
    with open_scene(str(path), "linear-1.0") as scene:
        valid = scene.read(Block(0, 0, 60, 60)).valid
    assert not valid[:, :20].any()
    assert valid[:, 20:].all()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"scale": 1e-300, "offset": 0}, "steps per unit of reflectance"),
        ({"scale": 1e-4, "offset": 1e300}, "an offset of 1e+304 steps"),
        ({"tags": {"QUANTIFICATION_VALUE": "0.5", "RADIO_ADD_OFFSET": "0"}}, "0.5 steps per unit"),
        ({"tags": {"QUANTIFICATION_VALUE": "10000", "RADIO_ADD_OFFSET": "1e300"}}, "1e+300 steps"),
    ],
)
def test_scales_that_cannot_be_are_refused_and_the_advice_works(tmp_path, said, words):
    path = write_stack(tmp_path / "a.tif", np.full((3, 60, 60), 7000, np.uint16), **said)
    with pytest.raises(SceneError) as caught, open_scene(str(path)):
        pass
    assert words in str(caught.value)
    follow(commands(str(caught.value))[0])
    with open_scene(str(path), "linear-1.0") as scene:
        assert (scene.read(Block(0, 0, 60, 60)).rgb == round(255 * 0.6)).all()


@pytest.mark.parametrize("scaling", [{"scale": 1e-300, "offset": 0}, {"scale": 1e-4, "offset": 1e300}])
def test_an_item_that_states_such_is_refused(tmp_path, scaling):
    item = download(tmp_path) / "item.json"
    item.write_text(item.read_text().replace('"scale": 0.0001, "offset": -0.1', json.dumps(scaling)[1:-1]))
    with pytest.raises(SceneError, match="which no product has"), open_scene(str(item)):
        pass


def test_figures_beyond_bounds_are_as_good_as_not_said(tmp_path):
    tags = {"SUN_ZENITH": "261", "SUN_AZIMUTH": "1e300", "VIEW_ZENITH": "nan", "VIEW_AZIMUTH": "7"}
    tags |= {"RELATIVE_ORBIT": str(2**31), "SENSING_TIME": "0001-01-01T00:00:00+14:00"}
    path = write_stack(tmp_path / "a.tif", np.full((3, 60, 60), 0.5, np.float32), tags=tags)
    with open_scene(str(path)) as scene:
        info = scene.info
    assert (info.sun_zenith, info.angles, info.relative_orbit, info.sensing_time) == (None,) * 4


def test_a_virtual_raster_is_called_so_and_the_advice_makes_one_file_of_it(tmp_path):
    path, vrt = write_tif(tmp_path / "tile.tif", RGB), tmp_path / "ross.vrt"
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{band}"><SimpleSource><SourceFilename relativeToVRT="1">'
        f"{path.name}</SourceFilename><SourceBand>{band}</SourceBand></SimpleSource></VRTRasterBand>"
        for band in (1, 2, 3)
    )
    vrt.write_text(f'<VRTDataset rasterXSize="70" rasterYSize="60">{bands}</VRTDataset>')
    with pytest.raises(SceneError, match=r"is a virtual raster \(VRT\)") as caught, open_scene(str(vrt)):
        pass
    follow(commands(str(caught.value))[0], tmp_path)
    with open_scene(str(tmp_path / "whole.tif")) as scene:
        np.testing.assert_array_equal(scene.read(Block(0, 0, 60, 70)).rgb, RGB)
