"""The guard against a plain reference, and what it is for: clear skies, shadows, thin ice."""

import json

import numpy as np
import oracle
import pytest
from array_scene import ArrayScene
from conftest import patchwork, planar, real_picture
from stage_runs import label_cut, whole

from labeling.ice.filter_guard import EDGE, WAITS, differences, guard_table, hold, hold_where
from labeling.ice.label import label_scene
from labeling.ice.profile import GuardSettings, load_profile
from labeling.simulation.scene import SceneSpec, simulate
from labeling.stages.steps import Recipe

POLYNYA, PUBLISHED, RAW = (load_profile(name) for name in ("polynya", "iqrah-2024", "iqrah-2024-raw"))
GUARD = POLYNYA.thin_clouds.guard


def with_guard(**settings):
    thin_clouds = POLYNYA.thin_clouds.model_copy(update={"guard": GuardSettings(**settings)})
    return POLYNYA.model_copy(update={"thin_clouds": thin_clouds})


def accuracy(scene, profile):
    return (label_scene(scene.rgb, None, profile) == scene.truth).mean()


def facts_of(folder, rgb, profile):
    whole(folder, ArrayScene(rgb), Recipe(profile))
    return json.loads((folder / "labels/done.json").read_text())


@pytest.mark.parametrize(
    "settings", [{}, {"soft_share": 0, "cell": 20}, {"cell": 32, "spans": (90, 60, 40, 20), "reach": 90}]
)
@pytest.mark.parametrize("seed", [0, 1])
def test_labels_equal_the_plain_reference(seed, settings):
    rgb = patchwork(150, 170, seed=seed)
    profile = with_guard(**settings)
    expected = oracle.label_guarded(rgb, profile.thin_clouds.guard)
    np.testing.assert_array_equal(label_scene(planar(rgb), None, profile), expected)


def test_a_shadowed_scene_equals_the_plain_reference_and_is_lifted(tmp_path):
    rgb = simulate(SceneSpec(scene_id="a", height=220, width=240, seed=5, cloud=0.6, thin_share=0.2)).rgb
    labels = label_scene(rgb, None, POLYNYA)
    interleaved = np.ascontiguousarray(rgb.transpose(1, 2, 0))
    np.testing.assert_array_equal(labels, oracle.label_guarded(interleaved, GUARD))
    lifted = (labels != label_scene(rgb, None, RAW)).mean()
    facts = facts_of(tmp_path, rgb, POLYNYA)
    assert facts["filter_shadow"]
    assert facts["filter_lifted"] == pytest.approx(lifted, abs=1e-6)
    assert lifted > 0.05


def test_a_clear_scene_nearly_keeps_the_labels_of_the_thresholds(tmp_path):
    scene = simulate(SceneSpec(scene_id="a", height=512, width=512, seed=5, thin_share=0.5))
    assert accuracy(scene, PUBLISHED) < accuracy(scene, RAW) - 0.02
    assert accuracy(scene, POLYNYA) > accuracy(scene, RAW) - 0.005
    facts = facts_of(tmp_path, scene.rgb, POLYNYA)
    assert not facts["filter_shadow"]
    assert facts["filter_held"] > 0.05


def test_under_cloud_the_filter_keeps_its_gain():
    scene = simulate(SceneSpec(scene_id="a", height=512, width=512, seed=6, thin_share=0.1, cloud=0.5))
    assert accuracy(scene, RAW) < accuracy(scene, PUBLISHED) - 0.05
    assert accuracy(scene, POLYNYA) > accuracy(scene, PUBLISHED) - 0.01


def test_in_a_real_cloudy_scene_the_filter_lifts_only():
    rgb = planar(real_picture("sceneC_cloudy_rgb.png"))
    before, after = label_scene(rgb, None, RAW), label_scene(rgb, None, POLYNYA)
    changes = set(zip(before[before != after].tolist(), after[before != after].tolist(), strict=True))
    assert changes <= {(1, 2)}


def test_what_was_decided_stands_in_the_mark_whatever_the_cut(tmp_path):
    rgb = simulate(SceneSpec(scene_id="a", height=200, width=210, seed=5, cloud=0.6)).rgb
    names = [f"filter_{what}" for what in ("shadow", "shadow_area", "soft_edges", "lifted", "held")]
    whole(tmp_path / "0", ArrayScene(rgb), Recipe(POLYNYA))
    label_cut(ArrayScene(rgb), (64, 90), tmp_path / "1", Recipe(POLYNYA))
    found = []
    for number in "01":
        done = json.loads((tmp_path / number / "labels/done.json").read_text())
        found.append({name: done[name] for name in names})
    assert found[0] == found[1]
    whole(tmp_path / "raw", ArrayScene(rgb), Recipe(RAW))
    assert not set(names) & set(json.loads((tmp_path / "raw/labels/done.json").read_text()))


@pytest.mark.parametrize(
    ("level", "background", "sort"),
    [(150, 216, 4), (150, 217, 1), (150, 149, 2), (150, 150, 3), (200, 239, 5), (200, 240, 6), (190, 124, 2)],
)
def test_thin_ice_little_darker_than_its_background_is_a_candidate(level, background, sort):
    grey, key = np.full((20, 20), level, np.uint8), np.full((20, 20), 255 - abs(level - background), np.uint8)
    seen = hold(grey, np.full((20, 20), background, np.uint8), key, 204, GUARD)
    assert (seen == sort).all()
    assert (key == (255 - abs(level - background)) // 4 * 4 + WAITS).all()


@pytest.mark.parametrize(("level", "sort"), [(205, 7), (219, 7), (220, 8), (232, 9), (244, 10), (255, 10)])
def test_thick_ice_is_sorted_by_how_bright_it_is_and_does_not_wait(level, sort):
    grey, key = np.full((20, 20), level, np.uint8), np.full((20, 20), 254, np.uint8)
    assert (hold(grey, grey.copy(), key, 204, GUARD) == sort).all()
    assert (key == 252).all()


@pytest.mark.parametrize(("step", "softness"), [(8, 5), (9, 4), (16, 4), (17, 3), (33, 2), (64, 2), (65, 1)])
def test_an_edge_is_the_softer_the_fewer_levels_lie_near_it(step, softness):
    grey = np.full((20, 40), 204, np.uint8)
    grey[:, 20:] = 204 + step if step <= 51 else 255
    grey[:, :20] = 204 if step <= 51 else 255 - step
    seen = hold(grey, grey.copy(), np.full(grey.shape, 255, np.uint8), 204, GUARD)
    assert set(np.unique(seen // EDGE)) == {0, softness}
    assert (seen[:, 19:21] // EDGE == softness).all()


def test_what_waits_is_free_in_the_table_unless_it_is_held_first():
    table = np.where(np.arange(256) < 200, 1, 2).astype(np.uint8)
    found = guard_table(table, 1)
    assert (found[196], found[200], found[200 + WAITS], found[202]) == (1, 2, 2, 1)
    key = np.array([[200, 201, 200, 201]], np.uint8)
    hold_where(key, np.array([[True, True, False, False]]))
    assert key.tolist() == [[200, 202, 200, 201]]


def test_histograms_of_keys_become_those_of_differences():
    counts = differences(np.ones(256, np.int64))
    assert (counts[0], counts[1], counts[252], counts.sum()) == (4, 0, 4, 256)
