"""Maps by Spark of cloudy scenes, where there is shadow by thresholds that network and filter move."""

import json
import shutil

import cv2
import numpy as np
import pytest
import rasterio
from map_runs import plain_probabilities, read_map, run_infer, run_label, tiny_model
from pictures import read_labels

import jobs.evaluate
from labeling.classes import IGNORE
from labeling.files.marks import mark_of
from labeling.ice.moved_cuts import cut, opinion, scene_cuts, weigh_lifts
from labeling.ice.profile import ThresholdSettings, load_profile
from labeling.simulation.product import write_product_scene
from labeling.simulation.scene import SceneSpec, write_scene
from labeling.status import PixelStatus
from pipelines.engine.outcome import ExitCode
from pipelines.evaluation.record import read_evaluation

pytestmark = pytest.mark.slow

CHECKED = {"network": "checked", "contradicted": 1}
"""The network is a random one, so it contradicts all."""

CLEAR = SceneSpec(scene_id="clear", height=128, width=128, seed=1)
CLOUDY = SceneSpec(scene_id="cloudy", height=270, width=256, seed=2, cloud=0.6, nodata=0.1)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    return [write_scene(folder, spec) for spec in (CLEAR, CLOUDY)]


@pytest.fixture(scope="module")
def labelled(scenes, tmp_path_factory):
    run = tmp_path_factory.mktemp("labelled") / "run"
    run_label(scenes, run)
    return run


@pytest.fixture
def run(labelled, tmp_path):
    shutil.copytree(labelled, tmp_path / "run")
    return tmp_path / "run"


def cut_run(model, scenes, run, **options):
    assert run_infer(model, scenes, run, **CHECKED, **options) == (2, ())
    return read_map(run, "cloudy")


def shadow_of(run, scene_id):
    """Return where edges are soft around by the labels' file, drawn large by OpenCV."""
    labels = read_labels(run, scene_id)
    with rasterio.open(run / "labels" / scene_id / "shadow.tif") as raster:
        evidence = np.where(raster.read(2) > 0.005, np.float32(1), np.float32(-1))
    side = 64
    large = cv2.resize(
        np.pad(evidence, 1, mode="edge"), None, fx=side, fy=side, interpolation=cv2.INTER_LINEAR
    )
    return large[side:, side:][: labels.shape[0], : labels.shape[1]] > 0


def plain_map(model, scene, labels, shadow, thin_ice_max=204):
    """The map without Spark and without blocks."""
    with rasterio.open(scene) as raster:
        value = raster.read().max(axis=0)
    probabilities = plain_probabilities(model, scene)
    thresholds = ThresholdSettings(thin_ice_max=thin_ice_max)
    said = opinion(value, weigh_lifts(probabilities, value, labels, thresholds))
    said = said._replace(sureness=np.where(labels == IGNORE, 0, said.sureness).astype(np.uint8))
    cuts = scene_cuts(said.part, height=value.shape[0], width=value.shape[1], thresholds=thresholds)
    drawn = shadow & (labels != IGNORE)
    return np.where(drawn, cut(value, cuts), labels), (labels == 2) & (value <= thin_ice_max)


@pytest.mark.parametrize(("master", "columns"), [("local[1]", None), ("local[2]", 96)])
def test_the_map_is_that_of_the_plain_way(run, scenes, model, master, columns):
    found = cut_run(model, scenes, run, master=master, columns=columns)
    labels = read_labels(run, "cloudy")
    expected, lifted = plain_map(model, scenes[1], labels, shadow_of(run, "cloudy"))
    assert lifted.any()
    assert (labels == IGNORE).any()
    np.testing.assert_array_equal(found, expected)
    run_infer(model, scenes, run)
    assert (found != labels).mean() > 0.01, "the test would not see whether cuts move"
    assert (found != read_map(run, "cloudy")).mean() > 0.01


def test_clear_scenes_keep_their_labels_and_all_maps_tell_where_they_come_from(run, scenes, model):
    cut_run(model, scenes, run)
    np.testing.assert_array_equal(read_map(run, "clear"), read_labels(run, "clear"))
    for name, source in (("clear", "labels"), ("cloudy", "moved-cuts")):
        done = json.loads((run / "maps" / name / "done.json").read_text())
        assert done["source"] == source
        assert ("model" in done["inputs"]) == (source == "moved-cuts")


def test_layers_have_values_where_the_network_had_a_say(run, scenes, model):
    close_half(run, "cloudy")
    cut_run(model, scenes, run, outputs=["probability", "uncertainty"])
    assert (read_map(run, "clear", "probability.tif") == 255).all()
    labels, shadow = read_labels(run, "cloudy"), shadow_of(run, "cloudy")
    asked = shadow & (labels != IGNORE)
    assert 0.1 < asked.mean() < 0.9
    for name in ("probability", "uncertainty"):
        np.testing.assert_array_equal(read_map(run, "cloudy", f"{name}.tif") != 255, asked)
    status = read_map(run, "cloudy", "status.tif")
    assert (status[labels == IGNORE] == PixelStatus.NODATA).all()
    with rasterio.open(run / "labels/cloudy/status.tif") as raster:
        np.testing.assert_array_equal(status, raster.read(1))


def close_half(run, scene_id):
    """Let edges be sharp in half of a scene's labels, as if they had been made so."""
    folder = run / "labels" / scene_id
    with rasterio.open(folder / "shadow.tif", "r+", IGNORE_COG_LAYOUT_BREAK="YES") as raster:
        softness = raster.read(2)
        softness[:, 2:] = 0
        raster.write(softness, 2)
    done = json.loads((folder / "done.json").read_text())
    done["outputs"]["shadow.tif"] = mark_of(folder / "shadow.tif")
    (folder / "done.json").write_text(json.dumps(done))


def test_a_network_that_does_not_fit_is_not_used(run, scenes, model, caplog):
    close_half(run, "cloudy")
    assert run_infer(model, scenes, run, network="checked", contradicted=0.001) == (2, ())
    np.testing.assert_array_equal(read_map(run, "cloudy"), read_labels(run, "cloudy"))
    done = json.loads((run / "maps" / "cloudy" / "done.json").read_text())
    assert done["source"] == "labels"
    assert [doubt["code"] for doubt in done["doubts"]] == ["unfit-network"]
    assert 0.001 < done["network_contradicts"] <= 1
    assert 0.2 < done["network_asked"] < 0.8
    assert "mapped in doubt: the model contradicts the labels in" in caplog.text
    found = cut_run(model, scenes, run)
    labels, shadow = read_labels(run, "cloudy"), shadow_of(run, "cloudy")
    assert (found != labels).any()
    np.testing.assert_array_equal(found[~shadow], labels[~shadow])


def test_a_products_item_tells_it_too(tmp_path):
    spec = SceneSpec(scene_id="cloudy", height=240, width=240, seed=2, cloud=0.6)
    product = write_product_scene(tmp_path / "products", spec)
    run_label([product], tmp_path / "run", "polynya-l1c")
    model = tiny_model(tmp_path / "model", rendering="rayleigh-v1-1.3")
    outcome = run_infer(model, [product], tmp_path / "run", **CHECKED)
    assert outcome == (1, ())
    properties = json.loads((tmp_path / "run/maps" / product.stem / "item.json").read_text())["properties"]
    assert properties["polynya:source"] == "moved-cuts"
    assert len(properties["polynya:model"]) == 64


def test_it_is_redone_when_labels_or_source_change(run, scenes, model, tmp_path):
    first = cut_run(model, scenes, run)
    mark = run / "maps" / "cloudy" / "done.json"
    written = mark.stat().st_mtime_ns
    cut_run(model, scenes, run)
    assert mark.stat().st_mtime_ns == written
    profile = load_profile("polynya").model_dump()
    (tmp_path / "other.yaml").write_text(json.dumps(profile | {"thresholds": {"thin_ice_max": 150}}))
    run_label(scenes, run, str(tmp_path / "other.yaml"))
    second = cut_run(model, scenes, run)
    assert (second != first).any()
    labels, shadow = read_labels(run, "cloudy"), shadow_of(run, "cloudy")
    expected, _ = plain_map(model, scenes[1], labels, shadow, thin_ice_max=150)
    np.testing.assert_array_equal(second, expected)
    assert run_infer(model, scenes, run) == (2, ())
    assert json.loads(mark.read_text())["source"] == "network"


def test_the_report_says_that_figures_are_not_the_models_alone(run, scenes, model, capsys):
    run_label(scenes, run, outputs=["labels", "chips"], chips={"size": 32})
    cut_run(model, scenes, run)
    assert jobs.evaluate.main(["--run", str(run)]).exit_code == ExitCode.DONE
    said = "1 of 2 test scenes are labels with parts drawn by thresholds that the model"
    assert any(said in note for note in read_evaluation(run / "evaluation.json").notes)
    assert said in (run / "report" / "index.html").read_text()
