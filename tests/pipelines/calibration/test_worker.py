"""Counting on a worker: what gets no class counts nowhere, and hints are read where they lie."""

import json
import pickle

import numpy as np
import pandas as pd
import pytest
import shapely
from conftest import patchwork, planar
from pictures import ROSS_SEA, write_tif

from labeling.ice.profile import load_profile
from labeling.masks.land import LandSettings
from labeling.scenes.open import open_scene
from labeling.stages.steps import Recipe
from pipelines.calibration.hints_file import Hint, HintFile
from pipelines.calibration.worker import CountJob, HintRead, count_scenes

TRANSFORM, CRS = ROSS_SEA["transform"], ROSS_SEA["crs"]


def area(left, top, right, bottom):
    """Return the polygon around pixels, columns left..right and rows top..bottom, their ends left out."""
    return shapely.box(*(TRANSFORM @ (left, bottom)), *(TRANSFORM @ (right, top)))


def count(scene, job, rows=37, columns=50):
    with open_scene(str(scene)) as opened:
        info = opened.info.dumps()
    task = {"scene_id": "s", "info": info, "cut": {"rows": rows, "columns": columns}}
    [found] = count_scenes(iter([pd.DataFrame([task])]), pickle.loads(pickle.dumps(job)))
    row = found.iloc[0]
    assert row["error"] is None
    return np.array(row["counts"]), [HintRead(**each) for each in json.loads(row["hints"])]


@pytest.fixture
def rgb():
    rgb = planar(patchwork(120, 160, seed=3)).copy()
    rgb[:, 100:] = 0  # no-data below
    return rgb


@pytest.fixture
def scene(tmp_path, rgb):
    return write_tif(tmp_path / "scene.tif", rgb, nodata=0)


@pytest.fixture
def land(tmp_path):
    file = tmp_path / "land.geojson"
    feature = {
        "type": "Feature",
        "properties": {},
        "geometry": json.loads(shapely.to_geojson(area(0, 0, 30, 200))),
    }
    crs = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:{CRS.replace(':', '::')}"}}
    file.write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": [feature]}))
    return LandSettings(vector=file)


@pytest.mark.parametrize("profile", ["polynya", "polynya-clear"])
def test_land_and_no_data_are_not_counted(scene, rgb, land, profile):
    counts, hints = count(scene, CountJob(Recipe(load_profile(profile), land=land), None))
    value = rgb.max(axis=0)[:100, 30:]
    np.testing.assert_array_equal(counts, np.bincount(value.ravel(), minlength=256))
    assert hints == []
    again, _ = count(scene, CountJob(Recipe(load_profile(profile), land=land), None), rows=200, columns=200)
    np.testing.assert_array_equal(again, counts)


def test_hints_are_read_where_they_lie_and_what_has_no_class_says_why(scene, rgb, land):
    shapes = [
        area(40, 10, 47, 15), area(25, 50, 35, 52), shapely.Point(TRANSFORM @ (10.5, 20.5)),
        shapely.Point(TRANSFORM @ (80.5, 110.5)), shapely.Point(TRANSFORM @ (500, 10)),
        shapely.Point(TRANSFORM @ (90.5, 60.5)),
    ]  # fmt: skip
    file = HintFile(CRS, tuple(Hint(n + 1, 1, shapely.to_wkb(s)) for n, s in enumerate(shapes)))
    _, hints = count(scene, CountJob(Recipe(load_profile("polynya"), land=land), file))
    value = rgb.max(axis=0)
    assert [hint.number for hint in hints] == [1, 2, 3, 4, 6]
    assert hints[0] == HintRead(1, int(np.median(value[10:15, 40:47])), "", 10, 40, 35)
    assert hints[1].value == int(np.median(value[50:52, 30:35]))  # its other half is on land
    assert hints[1].pixels == 10
    assert [(hint.value, hint.why) for hint in hints[2:4]] == [(None, "land"), (None, "no-data")]
    assert hints[4].value == value[60, 90]


def test_a_scene_that_cannot_be_counted_says_why(tmp_path):
    empty = write_tif(tmp_path / "empty.tif", np.zeros((3, 40, 40), np.uint8))
    with open_scene(str(empty)) as opened:
        info = opened.info.dumps()
    task = {"scene_id": "s", "info": info, "cut": {"rows": 40, "columns": 40}}
    [found] = count_scenes(iter([pd.DataFrame([task])]), CountJob(Recipe(load_profile("polynya")), None))
    assert "holds no data" in found.iloc[0]["error"]
