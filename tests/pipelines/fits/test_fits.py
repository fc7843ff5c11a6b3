"""Whether a model fits some ice: what is counted, and what is made of it."""

import json

import cv2
import numpy as np
import pytest
from map_runs import read_map, run_infer, run_label

import jobs.fits
from jobs.command import main_of
from labeling.ice.profile import load_profile
from labeling.simulation.scene import SceneSpec, write_scene
from pipelines.engine.outcome import ExitCode
from pipelines.fits import worker
from pipelines.fits.job import figures, fits, gain, verdict
from pipelines.fits.worker import METHODS, SKIES, FitJob, maps_of
from training.folder.card import model_digest
from training.predict import Predictor


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    return [
        write_scene(folder, SceneSpec(scene_id=f"s{seed}", height=300, width=280, seed=seed))
        for seed in (1, 2)
    ]


def run_fits(model, scenes, out, *flags, master="local[2]"):
    """Run the job as from the command line; return its exit code."""
    given = ["--model", str(model), "--scenes", *map(str, scenes), "--out", str(out), "--master", master]
    return main_of(lambda: jobs.fits.main([*given, *flags]), "fits")


def matrices(**hits):
    """Return confusion matrices in which each method has so many of 100 pixels of a class right."""
    found = np.zeros((len(SKIES), len(METHODS), 3, 3), np.int64)
    for place, name in enumerate(METHODS):
        right = hits[name.replace(" ", "_")]
        found[:, place] = np.eye(3, dtype=np.int64) * right + np.roll(
            np.eye(3, dtype=np.int64), 1, axis=1
        ) * (100 - right)
    return found


def test_a_model_fits_whose_maps_are_not_behind_the_better_rule():
    better = figures(matrices(thresholds=70, labels=80, network_alone=10, map=90))
    assert better["thin"]["labels"] == pytest.approx(80 / 120, abs=1e-4)  # 80 of 80 + 20 + 20
    assert gain(better["thin"]) == pytest.approx(90 / 110 - 80 / 120, abs=2e-4)
    assert fits(better)
    assert "fits this ice" in verdict(better)
    worse = figures(matrices(thresholds=90, labels=80, network_alone=99, map=88))
    assert not fits(worse)
    assert "does not fit this ice: under a clear sky its maps are 0.03" in verdict(worse)
    slightly = figures(matrices(thresholds=90, labels=90, network_alone=0, map=89))  # 0.016 less
    assert not fits(slightly)
    assert fits(slightly | {"clear": better["clear"]})


@pytest.mark.slow
def test_the_map_is_the_one_that_the_job_makes(model, tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "predictor", lambda folder, _: Predictor.load(folder, batch=1))
    scene = write_scene(tmp_path, SceneSpec(scene_id="cloudy", height=256, width=256, seed=2, cloud=0.6))
    run_label([scene], tmp_path / "run")
    checked = {"network": "checked", "contradicted": 1}
    assert run_infer(model, [scene], tmp_path / "run", **checked) == (1, ())
    rgb = np.ascontiguousarray(cv2.imread(str(scene))[..., ::-1].transpose(2, 0, 1))
    profile = load_profile("polynya")
    job = FitJob(model, model_digest(model), 4, profile, 256, 1, 1, contradicted=1, seed=1)
    seen = rgb.any(axis=0)
    made = dict(zip(METHODS, maps_of(rgb, seen, job, load_profile("polynya-clear")), strict=True))
    drawn = read_map(tmp_path / "run", "cloudy")
    alike = {name: (made[name] == drawn)[seen].mean() for name in ("map", "labels")}
    assert alike["map"] > 0.98
    assert alike["map"] > alike["labels"]
    assert (made["map"] != made["labels"]).any()
    run_infer(model, [scene], tmp_path / "alone")
    np.testing.assert_array_equal(made["network alone"][seen], read_map(tmp_path / "alone", "cloudy")[seen])


@pytest.mark.slow
def test_figures_of_two_scenes_and_one_that_is_too_small(model, scenes, tmp_path, capfd):
    assert run_fits(model, scenes, tmp_path / "two", "--skies", "8") == ExitCode.DONE
    found = json.loads((tmp_path / "two/fits.json").read_text())
    assert found["scenes"].keys() == {"s1", "s2"}
    assert found["all"].keys() == SKIES.keys()
    assert found["all"]["clear"]["thresholds"] == 1
    assert found["all"]["clear"]["network alone"] < 0.9, "a random network"
    assert found["all"]["heavier"]["thresholds"] < found["all"]["thin"]["thresholds"] < 1
    told = capfd.readouterr()
    assert "| heavier" in told.out
    assert "2 scene(s) done" in told.err
    cv2.imwrite(str(small := tmp_path / "small.png"), np.full((2, 300, 3), 200, np.uint8))
    assert run_fits(model, [*scenes, small], tmp_path / "three", "--skies", "8", master="local[1]") == 3
    assert json.loads((tmp_path / "three/fits.json").read_text()) == found
    assert "smaller than 4 pixels" in capfd.readouterr().err


def test_profiles_without_a_guard_are_refused(model, scenes, tmp_path, capfd):
    assert run_fits(model, scenes, tmp_path / "out", "--profile", "polynya-clear") == ExitCode.USAGE
    assert "has no variant with a guard for the rendering rgb8" in capfd.readouterr().err
