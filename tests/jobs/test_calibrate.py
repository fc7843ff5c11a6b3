"""jobs.calibrate as a user runs it: scenes in, a profile that jobs.label takes out."""

import json
import re

import numpy as np
import pytest
import rasterio
import yaml
from conftest import ROOT
from pictures import write_png
from rasterio.crs import CRS
from rasterio.warp import transform as reproject

from jobs import calibrate, label
from jobs.command import main_of
from labeling.ice.profile import load_profile
from labeling.scenes.sidecars import truth_path
from labeling.settings import load_settings
from labeling.simulation.product import write_product_scene
from labeling.simulation.scene import SceneSpec, variety, write_bands, write_scene
from pipelines.calibration.config import CalibrateConfig

pytestmark = pytest.mark.slow

LOCAL = ("--master", "local[2]")


def run(job, name, *arguments):
    return main_of(lambda: job.main([str(each) for each in (*arguments, *LOCAL)]), name)


def stretched(folder, spec):
    """Write a simulated scene with truth, drawn darker and over air light."""
    path = write_scene(folder, spec)
    with rasterio.open(path) as raster:
        rgb, place = raster.read(), {"crs": raster.crs, "transform": raster.transform}
    drawn = np.where(rgb > 0, np.clip(np.rint(rgb * 0.7 + 35), 1, 255), 0).astype(np.uint8)
    write_bands(path, drawn, **place, nodata=0, photometric="rgb")
    return path


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    return [stretched(folder, spec) for spec in variety(4, height=400, width=400, seed=12)]


@pytest.fixture(scope="module")
def hints(scenes, tmp_path_factory):
    """Places of known class in longitude and latitude: two of each class a scene, and one elsewhere."""
    rng, features = np.random.default_rng(1), []
    for scene in scenes:
        with rasterio.open(truth_path(scene)) as raster:
            truth, crs, transform = raster.read(1), raster.crs, raster.transform
        for code, name in enumerate(("water", "thin", "thick")):
            rows, columns = np.nonzero(truth == code)
            for each in rng.choice(len(rows), 2):
                x, y = transform @ (columns[each] + 0.5, rows[each] + 0.5)
                [lon], [lat] = reproject(crs, CRS.from_epsg(4326), [x], [y])
                features.append((name, lon, lat))
    features.append(("thick", 0.0, 0.0))
    file = tmp_path_factory.mktemp("hints") / "places.geojson"
    content = [
        {
            "type": "Feature",
            "properties": {"class": name},
            "geometry": {"type": "Point", "coordinates": [lon, lat]},
        }
        for name, lon, lat in features
    ]
    file.write_text(json.dumps({"type": "FeatureCollection", "features": content}))
    return file


def right(run_folder, scenes):
    """Return the share of pixels whose label is the true class."""
    hits = total = 0
    for scene in scenes:
        with rasterio.open(run_folder / "labels" / scene.stem / "labels.tif") as raster:
            labels = raster.read(1)
        with rasterio.open(truth_path(scene)) as raster:
            truth = raster.read(1)
        hits, total = hits + (labels == truth)[truth < 255].sum(), total + (truth < 255).sum()
    return hits / total


@pytest.fixture(scope="module")
def calibrated(scenes, hints, tmp_path_factory):
    folder = tmp_path_factory.mktemp("calibrated")
    assert run(calibrate, "calibrate", "--scenes", *scenes, "--out", folder / "cal", "--hints", hints) == 0
    return folder / "cal"


def test_the_profile_labels_what_the_default_cannot(scenes, calibrated, tmp_path, capsys):
    labelled = ("--outputs", "labels")
    assert run(label, "label", "--scenes", *scenes, "--out", tmp_path / "old", *labelled) == 0
    assert capsys.readouterr().err.count("labelled in doubt") >= 4
    profile = calibrated / "profile.yaml"
    assert (
        run(label, "label", "--scenes", *scenes, "--out", tmp_path / "new", *labelled, "--profile", profile)
        == 0
    )
    assert "dark-peak" not in capsys.readouterr().err
    assert right(tmp_path / "new", scenes) > 0.9
    assert right(tmp_path / "new", scenes) > right(tmp_path / "old", scenes) + 0.1


def test_figures_page_and_record_are_there(calibrated, scenes):
    record = json.loads((calibrated / "calibration.json").read_text())
    assert record["chosen"] == "weighed hints"
    assert len(record["hints"]) == 24
    assert record["hint_problems"] == [record["hint_problems"][0]]
    assert "Hint 25 lies outside every scene" in record["hint_problems"][0]
    for hint in record["hints"]:
        with rasterio.open(next(scene for scene in scenes if scene.stem == hint["scene_id"])) as raster:
            assert raster.read()[:, hint["row"], hint["column"]].max() == hint["value"]
        with rasterio.open(truth_path(next(s for s in scenes if s.stem == hint["scene_id"]))) as raster:
            assert raster.read(1)[hint["row"], hint["column"]] == ["water", "thin_ice", "thick_ice"].index(
                hint["ice"]
            )
    profile = yaml.safe_load((calibrated / "profile.yaml").read_text())
    assert profile["name"] == record["profile"]
    assert profile["thin_clouds"]["guard"] is not None
    page = (calibrated / "index.html").read_text(encoding="utf-8")
    assert record["profile"] in page
    assert re.search(r'(src|srcset)="(?!data:image/)', page) is None
    assert page.count("<figure>") == 4 * 7  # scene, start, five candidates
    assert (calibrated / "jobs/calibrate.json").is_file()


def test_counts_are_of_all_pixels_that_get_a_class(calibrated, scenes):
    expected = np.zeros(256, int)
    for scene in scenes:
        with rasterio.open(scene) as raster:
            rgb, mask = raster.read(), raster.dataset_mask() > 0
        expected += np.bincount(rgb.max(axis=0)[mask], minlength=256)
    assert json.loads((calibrated / "calibration.json").read_text())["counts"] == expected.tolist()


def test_scenes_of_another_rendering_and_broken_ones_fail_alone(scenes, tmp_path, capsys):
    product = write_product_scene(tmp_path, SceneSpec(scene_id="p", height=120, width=120, seed=1))
    broken = write_png(tmp_path / "broken.png", np.zeros((50, 50, 3), np.uint8))  # all black: no data
    given = (*scenes[:2], product, broken)
    assert run(calibrate, "calibrate", "--scenes", *given, "--out", tmp_path / "cal") == 3
    told = capsys.readouterr().err
    assert "cut points belong to one rendering" in told
    assert "holds no data" in told
    assert len(json.loads((tmp_path / "cal/calibration.json").read_text())["scenes"]) == 2
    # The product alone, by the variant of its kind.
    given = ("--scenes", product, "--out", tmp_path / "cal", "--pictures", "1")
    assert run(calibrate, "calibrate", *given) == 0
    written = yaml.safe_load((tmp_path / "cal/profile.yaml").read_text())
    assert written["rendering"] == load_profile("polynya-l1c").rendering
    assert run(calibrate, "calibrate", *given, "--start", "iqrah-2024-raw-l2a") == 2
    # And none at all: what lay there is not left to be taken for the answer.
    assert run(calibrate, "calibrate", "--scenes", broken, "--out", tmp_path / "cal") == 3
    assert not (tmp_path / "cal/profile.yaml").exists()


def test_wrong_usage_ends_with_2(scenes, tmp_path, capsys):
    assert (
        run(
            calibrate, "calibrate", "--scenes", scenes[0], "--out", tmp_path / "c", "--hints", tmp_path / "no"
        )
        == 2
    )
    assert "does not exist" in capsys.readouterr().err
    assert (
        run(calibrate, "calibrate", "--scenes", scenes[0], "--out", tmp_path / "c", "--start", "nobody") == 2
    )


def test_the_shipped_configuration_is_the_default(tmp_path):
    given = {"scenes": ["a.tif"], "out": str(tmp_path)}
    shipped = load_settings(CalibrateConfig, ROOT / "jobs/conf/calibrate.yaml", given)
    assert shipped == CalibrateConfig(**given)
