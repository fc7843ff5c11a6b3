"""The guard against a plain reference, and what it is for: clear skies, shadows, thin ice."""

import json

import numpy as np
import oracle
import pytest
from array_scene import ArrayScene
from conftest import patchwork, planar, real_picture
from stage_runs import label_cut, whole

from labeling.ice.filter_guard import (
    HELD,
    WAITS,
    differences,
    edge_sums,
    guard_table,
    held,
    hold,
    hold_waiting,
    settled,
)
from labeling.ice.label import class_table, compare, filter_facts, label_scene, prepare, scene_sums
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


def facts_of(rgb, profile):
    value, state = prepare(rgb, None, profile)
    sums = scene_sums(compare(value, profile), state, profile)
    return filter_facts(sums, class_table(sums, profile))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"soft_share": 0},
        {"soft_share": 0, "window": 31, "smooth_share": 0.6},
        {"cell": 32, "soft_span": 60, "soft_share": 0.05},
    ],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_labels_equal_the_plain_reference(seed, settings):
    rgb = patchwork(150, 170, seed=seed)
    profile = with_guard(**settings)
    expected = oracle.label_guarded(rgb, profile.thin_clouds.guard)
    np.testing.assert_array_equal(label_scene(planar(rgb), None, profile), expected)


def test_a_shadowed_scene_equals_the_plain_reference_and_is_lifted():
    rgb = simulate(SceneSpec(scene_id="a", height=220, width=240, seed=5, cloud=0.6, thin_share=0.2)).rgb
    labels = label_scene(rgb, None, POLYNYA)
    interleaved = np.ascontiguousarray(rgb.transpose(1, 2, 0))
    np.testing.assert_array_equal(labels, oracle.label_guarded(interleaved, GUARD))
    lifted = (labels != label_scene(rgb, None, RAW)).mean()
    facts = facts_of(rgb, POLYNYA)
    assert facts["filter_shadow"]
    assert facts["filter_lifted"] == pytest.approx(lifted, abs=1e-6)
    assert lifted > 0.05


def test_a_clear_scene_nearly_keeps_the_labels_of_the_thresholds():
    scene = simulate(SceneSpec(scene_id="a", height=512, width=512, seed=5, thin_share=0.5))
    assert accuracy(scene, PUBLISHED) < accuracy(scene, RAW) - 0.02
    assert accuracy(scene, POLYNYA) > accuracy(scene, RAW) - 0.005
    facts = facts_of(scene.rgb, POLYNYA)
    assert not facts["filter_shadow"]
    assert facts["filter_held"] > 0.1


def test_under_cloud_the_filter_keeps_its_gain():
    scene = simulate(SceneSpec(scene_id="a", height=512, width=512, seed=6, thin_share=0.1, cloud=0.5))
    assert accuracy(scene, RAW) < accuracy(scene, PUBLISHED) - 0.05
    assert accuracy(scene, POLYNYA) > accuracy(scene, PUBLISHED) - 0.01


def test_the_filter_works_in_a_real_cloudy_scene_and_lifts_only():
    rgb = planar(real_picture("sceneC_cloudy_rgb.png"))
    before, after = label_scene(rgb, None, RAW), label_scene(rgb, None, POLYNYA)
    assert set(zip(before[before != after].tolist(), after[before != after].tolist(), strict=True)) == {
        (1, 2)
    }
    published = label_scene(rgb, None, PUBLISHED) != before
    assert (after != before).sum() > 0.4 * published.sum()


def test_what_was_decided_stands_in_the_mark_whatever_the_cut(tmp_path):
    rgb = simulate(SceneSpec(scene_id="a", height=200, width=210, seed=5, cloud=0.6)).rgb
    names = [f"filter_{what}" for what in ("shadow", "shadow_area", "soft_edges", "lifted", "held")]
    found = []
    for number, run in enumerate(
        (whole, lambda folder, *rest: label_cut(rest[0], (64, 90), folder, rest[1]))
    ):
        folder = tmp_path / str(number)
        run(folder, ArrayScene(rgb), Recipe(POLYNYA))
        done = json.loads((folder / "labels/done.json").read_text())
        found.append({name: done[name] for name in names})
    assert found[0] == found[1] == facts_of(rgb, POLYNYA)
    whole(tmp_path / "raw", ArrayScene(rgb), Recipe(RAW))
    assert not set(names) & set(json.loads((tmp_path / "raw/labels/done.json").read_text()))


def test_background_decides_and_what_lies_between_waits():
    grey = np.full((60, 60), 150, np.uint8)
    grey[20:30] = 230
    for level, expected in ((135, 202), (136, 201), (243, 201), (244, 200)):
        key = np.full((60, 60), 200, np.uint8)
        hold(grey, np.full((60, 60), level, np.uint8), key, 204, GUARD)
        assert (key[20:30] == 200).all()
        assert (key[40:] == expected).all()


def test_without_smooth_grey_around_nothing_waits():
    rng = np.random.default_rng(0)
    grey = rng.integers(130, 205, (60, 60)).astype(np.uint8)
    key = np.full((60, 60), 200, np.uint8)
    hold(grey, np.full((60, 60), 180, np.uint8), key, 204, GUARD)
    assert (key == 200 + HELD).all()


def test_what_waits_is_free_in_the_table_unless_it_is_held_first():
    table = np.where(np.arange(256) < 200, 1, 2).astype(np.uint8)
    found = guard_table(table, 1)
    assert (found[196], found[200], found[200 + WAITS], found[200 + HELD]) == (1, 2, 2, 1)
    key = np.array([[200, 201, 202]], np.uint8)
    hold_waiting(key)
    assert key.tolist() == [[200, 202, 202]]


def test_histograms_of_keys_are_settled_like_the_keys():
    counts = differences(np.ones(256, np.int64))
    assert (counts[0], counts[1], counts[252], counts.sum()) == (4, 0, 4, 256)
    opened = np.zeros(64, np.int64)
    opened[50] = 1
    found = settled(np.ones(256, np.int64), opened)
    assert found[200:204].tolist() == [1, 1, 1, 1]
    assert found[204:208].tolist() == [1, 0, 2, 1]
    assert (found.sum(), held(found)) == (256, 64 + 63)


def test_a_step_is_sharp_and_a_slope_is_soft():
    everywhere, above = np.ones((40, 200), bool), np.full((40, 200), 250, np.uint8)
    step = np.where(np.arange(200) < 100, 120, 240).astype(np.uint8)
    slope = np.linspace(120, 240, 200).astype(np.uint8)
    edges = [hold(np.tile(row, (40, 1)), above, above.copy(), 204, GUARD) for row in (step, slope)]
    sums = [edge_sums(found, everywhere) for found in edges]
    assert [list(found) for found in sums] == [[80, 0], [80, 80]]
