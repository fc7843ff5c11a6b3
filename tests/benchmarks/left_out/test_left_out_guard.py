"""The families, and the guard that is learnt from all but one."""

import numpy as np
import pytest

from benchmarks.left_out import guard as left_out
from benchmarks.left_out.families import SKIES, family_scenes
from labeling.ice.shadow_cells import COUNTS, features


@pytest.fixture(scope="module")
def scenes():
    return [left_out.judge(scene) for scene in family_scenes(side=256, surfaces=2, seed=1, maps=None)]


def test_every_family_comes_under_every_sky_with_its_truth(scenes):
    found = {(one.family, one.sky) for one in scenes}
    assert found == {(family, sky) for family in ("floes", "plates", "pancakes", "smooth") for sky in SKIES}
    for one in scenes:
        assert one.scene.rgb.shape == (3, 256, 256)
        assert set(np.unique(one.scene.truth)) <= {0, 1, 2}


def test_what_lifting_would_do_is_counted_where_it_would():
    [clear, *_] = family_scenes(side=256, surfaces=1, seed=3, maps=None)
    judged = left_out.judge(clear)
    published, thresholds = (
        left_out.label_scene(clear.rgb, None, left_out.PROFILE.model_copy(update={"thin_clouds": filtered}))
        for filtered in (left_out.PROFILE.thin_clouds.model_copy(update={"guard": None}), None)
    )
    lifted = (published == 2) & (thresholds == 1)
    wrong = (lifted & (clear.truth == 1)).sum()
    # Differences are told apart in steps of four under a guard.
    assert judged.wrong.sum() == pytest.approx(wrong, rel=0.1, abs=50)


def test_weights_part_what_can_be_parted_and_steepest_descent_agrees():
    rng = np.random.default_rng(0)
    table = np.concatenate([rng.normal(size=(400, 3)), np.ones((400, 1))], axis=1)
    right = (table @ [2.0, -1.0, 0.0, 0.3] + rng.normal(size=400) > 0).astype(float)
    found = left_out._logistic(table, right, 1 - right)
    weights = np.zeros(4)
    for _ in range(20_000):  # the same loss, by another way
        chance = 1 / (1 + np.exp(-table @ weights))
        weights -= 0.5 * (table.T @ (chance - right) / 400 + np.array([0.02, 0.02, 0.02, 0]) * weights)
    np.testing.assert_allclose(found, weights, atol=1e-4)


def test_a_table_names_every_feature(scenes, tmp_path):
    weights = left_out.learn(scenes)
    assert weights.keys() == features(np.zeros((1, 1, COUNTS), np.int64)).keys() | {"bias"}
    left_out.write_weights(tmp_path / "w.yaml", weights, "test")
    assert "bias" in (tmp_path / "w.yaml").read_text()


def test_left_out_families_are_judged_beside_both_rules(scenes):
    found = left_out.leave_out([one for one in scenes if one.family in ("floes", "smooth")])
    assert {key[2] for key in found} == {"thresholds", "published filter", "guarded filter"}
    for counts in found.values():
        assert counts.sum() == 2 * 256 * 256
        assert 0 < left_out.scores(counts).mean_iou <= 1
    assert left_out.table_of(found).row_count == 6
