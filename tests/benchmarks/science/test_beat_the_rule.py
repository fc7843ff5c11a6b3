"""The experiment's scenes, strata and tables; and the whole of it once in little."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from steps_here import steps_here

from benchmarks.science import beat_the_rule
from benchmarks.science import methods as beat_methods
from benchmarks.science.beat_the_rule import training_specs
from benchmarks.science.methods import (
    AVERAGED,
    BOTH,
    BOTH_FILTER,
    MOVED,
    MOVED_FILTER,
    TAUGHT,
    is_cloudy,
    networks,
    rules,
)
from benchmarks.science.tables import STRATA, add, markdown, read_counts, summary, write_counts
from benchmarks.science.truth_scenes import SKIES, TruthScene, truth_scenes

SIDE = 96


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    """Maps as they were published: two in grey levels, one in colours."""
    folder = tmp_path_factory.mktemp("maps")
    classes = np.kron(np.random.default_rng(0).integers(0, 3, (6, 6)), np.ones((32, 32), np.int64))
    for name in ("autolabel_filtered_s2_vis_00.png", "autolabel_filtered_s2_vis_01.png"):
        cv2.imwrite(str(folder / name), np.array([0, 155, 255], np.uint8)[classes])
    colours = np.array([(0, 255, 0), (255, 0, 0), (0, 0, 255)], np.uint8)  # blue, green, red
    cv2.imwrite(str(folder / "s2_seg_02.png"), colours[classes])
    return folder


@pytest.fixture(scope="module")
def scenes(maps):
    return list(truth_scenes(side=SIDE, surfaces=2, seed=5, maps=maps))


def test_every_surface_comes_under_every_sky(scenes):
    families = [scene.family for scene in scenes]
    assert [families.count(name) for name in ("floes", "pancakes", "maps")] == [6, 6, 9]
    for start in range(0, len(scenes), 3):
        group = scenes[start : start + 3]
        assert [scene.sky for scene in group] == list(SKIES)
        for scene in group:
            np.testing.assert_array_equal(scene.truth, group[0].truth)
            np.testing.assert_array_equal(scene.clear, group[0].rgb)


def test_pictures_are_pictures_and_truth_has_all_classes(scenes):
    for scene in scenes:
        assert scene.rgb.shape == (3, SIDE, SIDE)
        assert scene.rgb.min() >= 1
        assert set(np.unique(scene.truth)) <= {0, 1, 2}
    for family in ("floes", "pancakes", "maps"):
        found = {code for scene in scenes if scene.family == family for code in np.unique(scene.truth)}
        assert found == {0, 1, 2}


def test_a_sky_shows_where_it_disturbs_and_nowhere_else(scenes):
    for scene in scenes:
        changed = np.abs(scene.rgb.astype(int) - scene.clear).max(axis=0)
        assert changed[scene.disturbed < 0.001].max(initial=0) <= 3
        if scene.sky == "clear":
            assert not scene.disturbed.any()
    assert max(scene.disturbed.max() for scene in scenes) > 0.2


def test_the_same_seed_gives_the_same_scenes(scenes):
    again = list(truth_scenes(side=SIDE, surfaces=2, seed=5, maps=None))
    np.testing.assert_array_equal(again[-1].rgb, scenes[len(again) - 1].rgb)
    other = next(truth_scenes(side=SIDE, surfaces=2, seed=6, maps=None))
    assert (other.rgb != scenes[0].rgb).any()


def test_a_folder_without_maps_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="no label map"):
        list(truth_scenes(side=16, surfaces=0, seed=1, maps=tmp_path))


def test_rules_see_clear_scenes_alike_and_lose_under_cloud(scenes):
    methods = rules()
    for scene in scenes:
        thresholds, taught = methods["thresholds"](scene), methods[TAUGHT](scene)
        assert (taught == scene.truth).mean() > 0.8
        if scene.sky == "clear":
            np.testing.assert_array_equal(thresholds, taught)


def test_cloud_is_seen_in_cloudy_scenes_and_in_no_clear_one():
    scenes = list(truth_scenes(side=800, surfaces=1, seed=3, maps=None))
    assert {scene.family for scene in scenes} == {"floes", "pancakes"}
    assert [is_cloudy(scene) for scene in scenes] == [scene.sky != "clear" for scene in scenes]


def test_the_network_is_asked_where_there_is_cloud(monkeypatch, scenes):
    asked = []

    def network(model, threads):
        thick = np.array([0, 0, 1], np.float32)
        return lambda scene: asked.append(scene) or np.broadcast_to(thick, (*scene.truth.shape, 3))

    monkeypatch.setattr(beat_methods, "network", network)
    monkeypatch.setattr(beat_methods, "is_cloudy", lambda scene: scene.sky != "clear")
    methods = networks([Path("model")], None)
    for scene in scenes[:3]:
        alone, both, moved = (methods[name](scene) for name in ("network", BOTH, MOVED))
        assert (alone == 2).all()
        rule = rules()["thresholds"](scene)
        np.testing.assert_array_equal(both, alone if scene.sky != "clear" else rule)
        if scene.sky == "clear":
            np.testing.assert_array_equal(moved, rule)
        else:
            assert (moved == 2).mean() > (rule == 2).mean()
    assert len(asked) == 3


def test_the_filter_turns_a_wavering_network_where_it_lifts(monkeypatch):
    wavers = np.array([0.0, 0.6, 0.4], np.float32)  # thin ice, or thick
    monkeypatch.setattr(
        beat_methods,
        "network",
        lambda model, threads: lambda scene: np.broadcast_to(wavers, (*scene.truth.shape, 3)),
    )
    scene = next(
        scene for scene in truth_scenes(side=800, surfaces=1, seed=3, maps=None) if scene.sky == "heavier"
    )
    methods = networks([Path("model")], None)
    lifted = rules()["guarded filter + thresholds"](scene) != rules()["thresholds"](scene)
    assert 0.01 < lifted.mean() < 0.99
    assert (methods[BOTH](scene) == 1).all()
    np.testing.assert_array_equal(methods[BOTH_FILTER](scene), np.where(lifted, 2, 1))
    assert (methods[MOVED_FILTER](scene) == 2).mean() > (methods[MOVED](scene) == 2).mean()


def test_probabilities_of_several_networks_are_averaged(monkeypatch, scenes):
    says = {"a": [0.6, 0.4, 0.0], "b": [0.0, 0.4, 0.6]}
    monkeypatch.setattr(
        beat_methods,
        "network",
        lambda model, threads: lambda scene: np.broadcast_to(says[model.name], (*scene.truth.shape, 3)),
    )
    for models, expected in (("a", 0), ("b", 2), ("ab", 1)):
        methods = networks([Path(name) for name in models], None, AVERAGED)
        assert (methods[f"network{AVERAGED}"](scenes[0]) == expected).all()


def test_training_scenes_are_clear_and_of_all_kinds():
    specs = training_specs(40, side=64, seed=1)
    assert len({spec.seed for spec in specs}) == 40
    assert all(spec.cloud == 0 for spec in specs)
    shares = [spec.thin_share for spec in specs]
    assert min(shares) < 0.1
    assert max(shares) > 0.5


def scene_of(sky, disturbed):
    flat = np.full((3, 2, 4), 200, np.uint8)
    truth = np.array([[0, 0, 1, 1], [2, 2, 2, 2]], np.uint8)
    return TruthScene("floes", sky, flat, flat, truth, np.full((2, 4), disturbed, np.float32))


def test_pixels_count_by_how_much_light_they_lose():
    counts = {}
    for sky, disturbed in (("clear", 0.0), ("thin", 0.01), ("thin", 0.02), ("thin", 0.15), ("heavier", 0.1)):
        scene = scene_of(sky, disturbed)
        add(counts, "network", scene, scene.truth)
    pixels = {name: int(matrix.sum()) for name, matrix in counts["network"]["floes"].items()}
    assert pixels == {"clear": 8, "thin": 16, "heavier": 8, "scene-thin": 24, "scene-heavier": 8}


def test_counts_survive_their_file_and_become_a_table(tmp_path):
    scene = scene_of("clear", 0.0)
    wrong = np.full_like(scene.truth, 2)
    parts = {}
    for seed, classes in enumerate((scene.truth, wrong)):
        counts = {}
        add(counts, "network", scene, classes)
        write_counts(tmp_path / f"{seed}.json", counts)
        parts[seed] = read_counts(tmp_path / f"{seed}.json")
    table = summary(parts)
    assert table["floes"]["clear"]["network"]["mean_iou"] == [1.0, round(0.5 / 3, 4)]
    text = markdown(table)
    assert f"| {STRATA['clear']} | 0.583 (0.167 to 1.000); 0.50 0.50 0.75 |" in text


@pytest.mark.slow
def test_the_whole_experiment_in_little(tmp_path, monkeypatch, maps, unlimited_threads):
    steps_here(monkeypatch, apart=["train"])
    config = tmp_path / "train.yaml"
    config.write_text(
        "epochs: 1\nbatch_size: 4\ndepth: 3\nwidth: 4\nskies: 0.5\ntones: 0.5\n"
        "keep: last\nabsent_classes: allow\n"
    )
    flags = ["--scenes", "4", "--side", "128", "--chip-size", "32", "--surfaces", "1", "--seeds", "2"]
    flags += ["--plates", "0.5"]
    flags += ["--maps", str(maps), "--threads", "1", "--config", str(config)]
    command = ["beat_the_rule", "--out", str(tmp_path), *flags]
    monkeypatch.setattr(sys, "argv", command)
    beat_the_rule.main()
    found = json.loads((tmp_path / "beat_the_rule.json").read_text())
    assert set(found["families"]) == {"floes", "pancakes", "maps"}
    pictures = {file.name for file in (tmp_path / "scenes").glob("plates-*")}
    assert pictures == {"plates-000.png", "plates-001.png"}
    assert len(list((tmp_path / "scenes").glob("clear-???.tif"))) == 2
    for strata in found["families"].values():
        assert set(strata) <= set(STRATA)
        for methods in strata.values():
            assert {len(methods[name]["mean_iou"]) for name in ("network", BOTH, MOVED, MOVED_FILTER)} == {2}
            assert {len(methods[name]["mean_iou"]) for name in ("thresholds", MOVED + AVERAGED)} == {1}
    before = (tmp_path / "beat_the_rule.md").read_text()
    beat_the_rule.main()  # what is there is not done again
    assert (tmp_path / "beat_the_rule.md").read_text() == before
    monkeypatch.setattr(sys, "argv", [*command, "--test-seed", "3"])
    with pytest.raises(SystemExit, match="with another test_seed"):
        beat_the_rule.main()
