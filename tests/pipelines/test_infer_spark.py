"""Maps by Spark: the same pixels for any sharing out of the work, and no seam between windows."""

import json
import os
import shutil
import signal

import numpy as np
import pytest
import rasterio
from conftest import patchwork, planar
from map_runs import plain_probabilities, read_map, run_infer, tiny_model
from pictures import ROSS_SEA, write_png, write_tif
from rasterio.crs import CRS

import pipelines.infer as infer_job
import pipelines.infer_worker as infer_worker
from labeling.errors import ModelError
from labeling.status import PixelStatus
from pipelines.config import InferConfig

pytestmark = pytest.mark.slow

SCENE = patchwork(330, 290, seed=2)


def plain_map(model, scene):
    """The map without Spark, of the whole scene at once."""
    return plain_probabilities(model, scene).argmax(-1).astype(np.uint8)


@pytest.mark.parametrize(("master", "columns"), [("local[1]", None), ("local[2]", 64), ("local[4]", 128)])
def test_maps_equal_the_plain_pass(tmp_path, model, master, columns):
    scenes = [write_tif(tmp_path / "tif.tif", planar(SCENE)), write_png(tmp_path / "png.png", SCENE)]
    outcome = run_infer(model, scenes, tmp_path / "run", master=master, columns=columns)
    assert outcome == (2, ())
    expected = plain_map(model, scenes[0])
    assert len(np.unique(expected)) > 1
    for scene in scenes:
        np.testing.assert_array_equal(read_map(tmp_path / "run", scene.stem), expected)


def test_scenes_in_batches_give_the_same_maps(tmp_path, model, monkeypatch):
    monkeypatch.setattr(infer_job, "_MOST_PIXELS", 1)  # each scene is one of its own
    scenes = [write_tif(tmp_path / f"{name}.tif", planar(SCENE)) for name in "abc"]
    scenes[1].write_bytes(scenes[1].read_bytes()[:-30_000])
    outcome = run_infer(model, scenes, tmp_path / "run")
    assert outcome.done == 2
    assert [failure.scene for failure in outcome.failures] == ["b"]
    expected = plain_map(model, scenes[0])
    for scene in (scenes[0], scenes[2]):
        np.testing.assert_array_equal(read_map(tmp_path / "run", scene.stem), expected)


def test_a_scene_that_kills_its_worker_each_time_fails_alone(tmp_path, model, monkeypatch):
    def deadly(frames, job):
        frames = list(frames)
        if any((frame["scene_id"] == "b").any() for frame in frames):
            os.kill(os.getpid(), signal.SIGKILL)
        return list(infer_worker.predict_tasks(iter(frames), job))

    monkeypatch.setattr(infer_job, "predict_tasks", deadly)
    scenes = [write_tif(tmp_path / f"{name}.tif", planar(SCENE[:96, :96])) for name in "abc"]
    outcome = run_infer(model, scenes, tmp_path / "run")
    assert outcome.done == 2
    [failure] = outcome.failures
    assert (failure.scene, failure.step) == ("b", "infer")
    assert f"{scenes[1]} could not be mapped: its worker failed each time" in failure.reason
    expected = plain_map(model, scenes[0])
    for scene in (scenes[0], scenes[2]):
        np.testing.assert_array_equal(read_map(tmp_path / "run", scene.stem), expected)


def test_what_killed_jobs_left_goes_and_what_others_write_stays(tmp_path, model):
    scene = write_tif(tmp_path / "scene.tif", planar(SCENE[:64, :64]))
    run = tmp_path / "run"
    left = [
        "maps/scene/.classes.0123abcd.part.tif", "maps/gone/.done.0123abcd.part.json",
        ".scratch/infer/gone/class-0-0.u8", "jobs/.infer.0123abcd.part.json",
    ]  # fmt: skip
    others = ["labels/a/.labels.0123abcd.part.tif", ".scratch/label/a/x"]
    for name in left + others:
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).touch()
    assert run_infer(model, [scene], run) == (1, ())
    assert [name for name in left + others if (run / name).exists()] == others


def test_map_carries_grid_nodata_and_quicklook(tmp_path, model):
    rgb = planar(SCENE).copy()
    rgb[:, 200:, :] = 0
    scene = write_tif(tmp_path / "scene.tif", rgb, nodata=0)
    run_infer(model, [scene], tmp_path / "run")
    with rasterio.open(tmp_path / "run/maps/scene/classes.tif") as raster:
        assert raster.crs == ROSS_SEA["crs"]
        assert raster.transform == ROSS_SEA["transform"]
        classes = raster.read(1)
    assert (classes[200:] == 255).all()
    assert set(np.unique(classes[:200])) <= {0, 1, 2}
    assert (tmp_path / "run/maps/scene/quicklook.png").stat().st_size > 1000
    status = read_map(tmp_path / "run", "scene", "status.tif")
    assert (status == np.where(classes == 255, PixelStatus.NODATA, PixelStatus.CLASSIFIED)).all()
    done = json.loads((tmp_path / "run/maps/scene/done.json").read_text())
    assert done["pixels"]["ignore"] == done["status"]["nodata"] == 130 * 290
    first = (tmp_path / "run/maps/scene/done.json").stat().st_mtime_ns
    run_infer(model, [scene], tmp_path / "run")
    assert (tmp_path / "run/maps/scene/done.json").stat().st_mtime_ns == first


def test_layers_are_what_the_network_says(tmp_path, model):
    rgb = planar(SCENE).copy()
    rgb[:, 200:, :] = 0
    scene = write_tif(tmp_path / "scene.tif", rgb, nodata=0)
    found = []
    for master, columns in (("local[1]", None), ("local[2]", 96)):
        run = tmp_path / master
        run_infer(model, [scene], run, master=master, columns=columns, outputs=["probability", "uncertainty"])
        found.append(
            [(run / f"maps/scene/{name}.tif").read_bytes() for name in ("probability", "uncertainty")]
        )
    assert found[0] == found[1]
    with rasterio.open(run / "maps/scene/probability.tif") as raster:
        shares = raster.read().astype(np.float32) * 0.004
        np.testing.assert_array_equal(
            raster.read_masks() == 0, np.arange(330)[None, :, None] >= 200 + np.zeros((3, 1, 290))
        )
    expected = plain_probabilities(model, scene)[:200]
    np.testing.assert_allclose(shares[:, :200].transpose(1, 2, 0), expected, atol=0.0021)
    ordered = np.sort(expected, axis=-1)
    uncertainty = read_map(run, "scene", "uncertainty.tif")
    np.testing.assert_allclose(uncertainty[:200] * 0.004, 1 - ordered[..., 2] + ordered[..., 1], atol=0.0021)
    assert (uncertainty[200:] == 255).all()
    # Files that are asked for no more stay while they are true, and go with the map that they belong to.
    folder = run / "maps/scene"
    run_infer(model, [scene], run)
    assert {"probability.tif", "uncertainty.tif"} <= {path.name for path in folder.iterdir()}
    run_infer(model, [scene], run, palette="iqrah-2024", outputs=["classes", "uncertainty"])
    assert "uncertainty.tif" in json.loads((folder / "done.json").read_text())["outputs"]
    assert not (folder / "probability.tif").exists()


def test_land_has_no_class_in_a_map_and_limits_refuse(tmp_path, model):
    scene = write_tif(tmp_path / "scene.tif", planar(SCENE))
    with rasterio.open(scene) as raster:
        left, bottom, _, top = raster.bounds
        x = left + 100 * raster.transform.a
    ring = [
        [left - 9, bottom - 9],
        [x, bottom - 9],
        [x, top + 9],
        [left - 9, top + 9],
        [left - 9, bottom - 9],
    ]
    crs = {
        "type": "name",
        "properties": {"name": f"urn:ogc:def:crs:EPSG::{CRS.from_user_input(ROSS_SEA['crs']).to_epsg()}"},
    }
    feature = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    (tmp_path / "land.geojson").write_text(
        json.dumps({"type": "FeatureCollection", "crs": crs, "features": [feature]})
    )
    assert run_infer(model, [scene], tmp_path / "run", land={"vector": tmp_path / "land.geojson"}) == (1, ())
    classes = read_map(tmp_path / "run", "scene")
    assert (classes[:, :100] == 255).all()
    assert (classes[:, 100:] != 255).all()
    status = read_map(tmp_path / "run", "scene", "status.tif")
    assert (status == np.where(classes == 255, PixelStatus.LAND, PixelStatus.CLASSIFIED)).all()
    rgb = planar(SCENE).copy()
    rgb[:, 200:, :] = 0
    gappy = write_tif(tmp_path / "gappy.tif", rgb, nodata=0)
    [failure] = run_infer(model, [gappy], tmp_path / "run", limits={"nodata": 0.3}).failures
    assert "no-data over 39.4%" in failure.reason


def test_a_two_pixel_scene_has_a_map(tmp_path, model):
    scene = write_tif(tmp_path / "two.tif", planar(SCENE[:2, :2]))
    assert run_infer(model, [scene], tmp_path / "run") == (1, ())
    np.testing.assert_array_equal(read_map(tmp_path / "run", "two"), plain_map(model, scene))


def test_a_model_of_whole_chips_draws_no_map(tmp_path):
    folder = tmp_path / "kinds"
    tiny_model(folder)
    card = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(card | {"task": "classify", "depth": None}))
    with pytest.raises(ModelError, match="draws no map"):
        infer_job.run(InferConfig(model=folder, scenes=[str(tmp_path)], out=tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_broken_model_ends_the_job_and_not_the_scenes(tmp_path, model):
    import keras

    from training.folder.card import read_model_card, write_model_card

    scene = write_tif(tmp_path / "scene.tif", planar(SCENE[:64, :64]))
    broken = tmp_path / "broken"
    shutil.copytree(model, broken)
    network = keras.saving.load_model(broken / "model.keras", compile=False)
    network.set_weights([np.full_like(weights, np.nan) for weights in network.get_weights()])
    network.save(broken / "model.keras")
    with pytest.raises(ModelError, match="its digest is another"):
        run_infer(broken, [scene], tmp_path / "run")
    write_model_card(broken, read_model_card(model))
    with pytest.raises(ModelError, match="is broken: it has weights that are no numbers"):
        run_infer(broken, [scene], tmp_path / "run")
    assert not (tmp_path / "run/maps/scene").exists()


@pytest.mark.parametrize("damage", ["zeroed", "mark cut off", "mark of an older version"])
def test_a_map_that_was_changed_is_made_again(tmp_path, model, damage):
    scene = write_tif(tmp_path / "scene.tif", planar(SCENE[:128, :128]))
    run_infer(model, [scene], tmp_path / "run")
    expected, folder = read_map(tmp_path / "run", "scene"), tmp_path / "run/maps/scene"
    mark = folder / "done.json"
    if damage == "zeroed":
        with rasterio.open(folder / "classes.tif", "r+", IGNORE_COG_LAYOUT_BREAK="YES") as raster:
            raster.write(np.zeros((1, 128, 128), np.uint8))
    elif damage == "mark cut off":
        mark.write_text(mark.read_text()[:100])
    else:
        content = json.loads(mark.read_text())
        del content["outputs"]
        mark.write_text(json.dumps(content))
    assert run_infer(model, [scene], tmp_path / "run") == (1, ())
    np.testing.assert_array_equal(read_map(tmp_path / "run", "scene"), expected)
    assert json.loads(mark.read_text())["outputs"]["classes.tif"].keys() == {"bytes", "sha256"}
