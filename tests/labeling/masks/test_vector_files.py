"""A land file's state covers all files it is made of; of two coordinate systems the unusable one is named."""

import os
import re
import subprocess
import sys

import numpy as np
import pyogrio
import pytest
import shapely
from advice import commands, follow
from array_scene import ArrayScene
from pictures import write_tif
from rasterio.crs import CRS
from rasterio.transform import Affine, from_origin

from labeling.errors import ConfigError, SceneError
from labeling.masks.land import LandSettings, checked, find_land, land_inputs
from labeling.scenes.open import open_scene

SQUARE = shapely.box(500_000, 1_698_000, 501_000, 1_700_000)
RGB = np.full((3, 200, 200), 120, np.uint8)
NORTH = from_origin(500_000, 1_700_000, 10, 10)


def write(path, crs="EPSG:32758", driver=None):
    pyogrio.raw.write(
        path, np.array([shapely.to_wkb(SQUARE)]), [], [], geometry_type="Polygon", crs=crs, driver=driver
    )
    return path


def inputs(path):
    return land_inputs(checked(LandSettings(vector=path)))


@pytest.mark.parametrize(
    ("name", "driver", "beside"),
    [
        ("a.shp", None, ".dbf"),
        ("a.shp", None, ".prj"),
        ("a.gml", "GML", ".xsd"),
    ],
)
def test_files_beside_a_land_file_are_part_of_it(tmp_path, name, driver, beside):
    path = write(tmp_path / name, driver=driver)
    before = inputs(path)
    (tmp_path / "a.txt2").touch()
    assert inputs(path) == before or name == "a.shp"
    os.utime(path.with_suffix(beside), ns=(1, 1))
    assert inputs(path) != before


PLACES = {
    "north up": ("EPSG:32758", NORTH),
    "south up": ("EPSG:32758", Affine(10, 0, 500_000, 0, 10, 1_698_000)),
}


@pytest.mark.parametrize("name", PLACES)
def test_land_is_found_on_grids_that_lie_otherwise(tmp_path, name):
    crs, transform = PLACES[name]
    with open_scene(str(write_tif(tmp_path / "a.tif", RGB, crs=crs, transform=transform))) as scene:
        mask = find_land(scene.info, LandSettings(vector=write(tmp_path / "land.gpkg")))
    assert mask[:, :100].all()
    assert not mask[:, 101:].any()


def test_a_scene_in_a_local_system_is_at_fault_itself_and_the_advice_works(tmp_path):
    local = CRS.from_wkt('LOCAL_CS["Arbitrary",UNIT["metre",1],AXIS["Easting",EAST],AXIS["Northing",NORTH]]')
    path = write_tif(tmp_path / "a.tif", RGB, crs=local, transform=NORTH)
    land = LandSettings(vector=write(tmp_path / "land.gpkg"))
    with open_scene(str(path)) as scene, pytest.raises(SceneError) as caught:
        find_land(scene.info, land)
    assert "the scene's coordinate system (Arbitrary) has no place on Earth" in str(caught.value)
    assert "land.gpkg" not in str(caught.value)
    follow(commands(str(caught.value))[0].replace("FILE", str(path)))
    with open_scene(str(path)) as scene:
        assert find_land(scene.info, land)[:, :100].all()


def test_a_land_file_in_a_local_system_is_at_fault_itself(tmp_path):
    path = write(tmp_path / "land.shp")
    path.with_suffix(".prj").write_text('LOCAL_CS["deck",UNIT["metre",1]]')
    info = ArrayScene(RGB, crs=CRS.from_epsg(32758).to_wkt(), transform=list(NORTH)[:6]).info
    with pytest.raises(ConfigError, match=r"the CRS of .*land\.shp has no known relation"):
        find_land(info, LandSettings(vector=path))


def test_a_shapefile_without_a_system_gets_one_by_the_advice(tmp_path):
    path = write(tmp_path / "land.shp", crs="EPSG:4326")
    path.with_suffix(".prj").unlink()
    with pytest.raises(ConfigError, match="does not say which CRS") as caught:
        checked(LandSettings(vector=path))
    (command,) = re.findall("`(python .*?)`", str(caught.value))
    subprocess.run(["bash", "-c", command.replace("python", sys.executable, 1)], check=True)
    assert checked(LandSettings(vector=path)).vector == path
