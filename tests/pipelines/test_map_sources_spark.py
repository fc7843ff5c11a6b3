"""Maps by Spark that are labels where the sky is clear."""

import json
import shutil

import numpy as np
import pytest
import rasterio
from map_runs import no_network, read_map, run_infer, run_label
from pictures import read_labels

import jobs.evaluate
from labeling.errors import ConfigError
from labeling.ice.profile import load_profile
from labeling.simulation.product import write_product_scene
from labeling.simulation.scene import SceneSpec, write_scene
from pipelines.engine.outcome import ExitCode
from pipelines.evaluation.record import read_evaluation

pytestmark = pytest.mark.slow

CLEAR = SceneSpec(scene_id="clear", height=270, width=256, seed=1, nodata=0.1)
CLOUDY = SceneSpec(scene_id="cloudy", height=256, width=256, seed=1, cloud=0.6)


def done(run, scene_id):
    return json.loads((run / "maps" / scene_id / "done.json").read_text())


def times(run):
    return {folder.name: (folder / "done.json").stat().st_mtime_ns for folder in (run / "maps").iterdir()}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    return [write_scene(folder, spec) for spec in (CLEAR, CLOUDY)]


@pytest.fixture(scope="module")
def labelled(scenes, tmp_path_factory):
    run = tmp_path_factory.mktemp("labelled") / "run"
    run_label(scenes, run, outputs=["labels", "chips"], chips={"size": 32})
    return run


@pytest.fixture(scope="module")
def networks(scenes, model, tmp_path_factory):
    """Maps that the network alone drew."""
    run = tmp_path_factory.mktemp("networks") / "run"
    assert run_infer(model, scenes, run) == (2, ())
    return run


@pytest.fixture
def run(labelled, tmp_path):
    shutil.copytree(labelled, tmp_path / "run")
    return tmp_path / "run"


def test_labels_where_it_is_clear(run, networks, scenes, model):
    assert run_infer(model, scenes, run, network="checked") == (2, ())
    labels, alone = read_labels(run, "clear"), read_map(networks, "clear")
    np.testing.assert_array_equal(read_map(run, "clear"), labels)
    assert (labels != alone).any(), "the test would not see which it is"
    np.testing.assert_array_equal(labels == 255, alone == 255)
    assert done(run, "clear")["source"] == "labels"
    assert done(networks, "clear")["source"] == "network"
    assert done(run, "clear")["pixels"]["ignore"] == (labels == 255).sum()
    before = times(run)
    assert run_infer(model, scenes, run, network="checked") == (2, ())
    assert times(run) == before


def test_such_a_map_has_the_usual_form(run, scenes, model, tmp_path):
    alone = tmp_path / "alone"
    run_infer(model, scenes[:1], run, network="checked", palette="iqrah-2024")
    run_infer(model, scenes[:1], alone, palette="iqrah-2024")
    folders = [root / "maps" / "clear" for root in (run, alone)]
    assert len({tuple(sorted(file.name for file in folder.iterdir())) for folder in folders}) == 1
    told = []
    for folder in folders:
        with rasterio.open(folder / "classes.tif") as raster:
            tags = {name: tag for name, tag in raster.tags(1).items() if not name.startswith("STATISTICS")}
            told.append((raster.profile, raster.overviews(1), raster.colormap(1), tags))
    assert told[0] == told[1]


def test_a_map_is_redone_when_what_it_comes_from_changes(run, scenes, model, tmp_path):
    run_infer(model, scenes, run)
    before = times(run)
    run_infer(model, scenes, run, network="checked")
    changed = times(run)
    assert changed["clear"] != before["clear"]
    assert changed["cloudy"] != before["cloudy"]
    profile = load_profile("polynya").model_dump()
    (tmp_path / "other.yaml").write_text(json.dumps(profile | {"thresholds": {"thin_ice_max": 150}}))
    earlier = read_map(run, "clear")
    run_label(scenes, run, str(tmp_path / "other.yaml"))
    run_infer(model, scenes, run, network="checked")
    assert (read_map(run, "clear") != earlier).any()
    np.testing.assert_array_equal(read_map(run, "clear"), read_labels(run, "clear"))
    run_infer(model, scenes, run)
    assert done(run, "clear")["source"] == "network"


def test_no_network_is_loaded_under_clear_skies(run, scenes, tmp_path):
    model = no_network(tmp_path / "model")
    assert run_infer(model, scenes[:1], run, network="checked", columns=64) == (1, ())
    np.testing.assert_array_equal(read_map(run, "clear"), read_labels(run, "clear"))
    [failure] = run_infer(model, scenes, run, network="checked").failures
    assert failure.scene == "cloudy"


def test_scenes_without_such_labels_fail(run, scenes, model, tmp_path):
    shutil.rmtree(run / "labels" / "clear")
    [failure] = run_infer(model, scenes, run, network="checked").failures
    assert (failure.scene, failure.step) == ("clear", "infer")
    assert f"no finished labels of {scenes[0]} in {run / 'labels' / 'clear'}" in failure.reason
    assert times(run).keys() == {"cloudy"}
    run_label(scenes, tmp_path / "plain", "polynya-clear")
    with pytest.raises(ConfigError, match=r"polynya-clear.* does not look for cloud.*jobs\.label"):
        run_infer(model, scenes, tmp_path / "plain", network="checked")


def test_limits_and_land_of_the_map_hold(run, scenes, model, tmp_path):
    [failure] = run_infer(model, scenes, run, network="checked", limits={"nodata": 0.05}).failures
    assert failure.scene == "clear"
    assert "no-data over 10.0%" in failure.reason
    with rasterio.open(scenes[0]) as raster:
        middle, (left, bottom, _, top) = raster.xy(0, 128)[0], raster.bounds
    ring = [[left, bottom], [middle, bottom], [middle, top], [left, top], [left, bottom]]
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3031"}}
    feature = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    land = tmp_path / "land.geojson"
    land.write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": [feature]}))
    assert run_infer(model, scenes[:1], run, network="checked", land={"vector": land}) == (1, ())
    labels, classes = read_labels(run, "clear"), read_map(run, "clear")
    assert (classes[:, :128] == 255).all()
    np.testing.assert_array_equal(classes[:, 130:], labels[:, 130:])


def test_a_products_item_says_where_the_classes_come_from(tmp_path):
    spec = SceneSpec(scene_id="clear", height=240, width=240, seed=4)
    product = write_product_scene(tmp_path / "products", spec)
    run_label([product], tmp_path / "run", "polynya-l1c")
    model = no_network(tmp_path / "model", rendering="rayleigh-v1-1.3")
    assert run_infer(model, [product], tmp_path / "run", network="checked") == (1, ())
    properties = json.loads((tmp_path / "run/maps" / product.stem / "item.json").read_text())["properties"]
    assert properties["polynya:source"] == "labels"
    assert "polynya:model" not in properties


def test_such_maps_are_evaluated_and_noted(run, scenes, model, capsys):
    run_infer(model, scenes, run, network="checked")
    assert jobs.evaluate.main(["--run", str(run)]).exit_code == ExitCode.DONE
    evaluation = read_evaluation(run / "evaluation.json")
    agreement = {one.scene_id: one.agreement_with_automatic_labels.agreement for one in evaluation.scenes}
    assert agreement["clear"] == 1
    assert any("1 of 2 test scenes are their labels" in note for note in evaluation.notes)
    assert "1 of 2 test scenes are their labels" in (run / "report" / "index.html").read_text()
