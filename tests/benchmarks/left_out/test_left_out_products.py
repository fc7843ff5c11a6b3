"""Families as products: pixels are those of a written product, and guards that see more are judged alike."""

import numpy as np
import pytest

from benchmarks.left_out import products as left_out
from benchmarks.left_out.families import SKIES, family_scenes
from benchmarks.left_out.guard import cells_of, judge, learn
from labeling.bands import BLUE, Band
from labeling.grid import Block
from labeling.ice.label import label_scene
from labeling.scenes.open import open_scene
from labeling.simulation.product import product_spec, write_simulated
from labeling.simulation.scene import SceneSpec, simulate
from training.network.metrics import confusion_matrix


@pytest.fixture(scope="module")
def made():
    chosen = ("floes", "plates")
    return list(left_out.products(side=258, surfaces=1, maps=None, suns=(45, 78), families=chosen))


def test_what_is_judged_is_what_a_written_product_shows(tmp_path):
    spec = SceneSpec(scene_id="one", height=120, width=120, seed=4, cloud=0.6, sun_zenith=66)
    scene, product = simulate(spec), product_spec(spec)
    found = left_out.seen("floes", "heavier", scene, product)
    path = write_simulated(tmp_path, product, scene)
    whole = Block(0, 0, 120, 120)
    for name, profile in ({left_out.GUARDED: left_out.PROFILE} | left_out.RULES).items():
        with open_scene(str(path), profile.rendering) as opened:
            rgb, valid, _ = opened.read(whole)
        assert valid.all()
        if name == left_out.GUARDED:
            np.testing.assert_array_equal(found.judged.scene.rgb, rgb)
        else:
            labels = label_scene(rgb, valid, profile)
            np.testing.assert_array_equal(found.rules[name], confusion_matrix(scene.truth, labels))


def test_coarser_bands_are_repeated_to_ten_metres():
    spec = SceneSpec(scene_id="one", height=120, width=120, seed=4, sun_zenith=50)
    scene, product = simulate(spec), product_spec(spec)
    for band, step in ((BLUE, 1), (Band.B11, 2), (Band.B10, 6)):
        values = left_out.reflectance(scene, product, band)
        assert values.shape == (120, 120)
        assert -0.01 < values.min() < values.max() < 1.5
        np.testing.assert_array_equal(values, values[::step, ::step].repeat(step, 0).repeat(step, 1))


def test_every_family_comes_under_every_sky_and_sun(made):
    found = {(one.judged.family, one.judged.sky, one.sun) for one in made}
    assert found == {
        (family, sky, sun) for family in ("floes", "plates") for sky in SKIES for sun in (45, 78)
    }


def test_a_guard_that_sees_no_more_sees_what_the_guard_sees(made):
    weights = learn([judge(one) for one in family_scenes(side=256, surfaces=2, seed=1, maps=None)])
    for product in made:
        mine, guards = left_out.cells_by(product, weights, ()), cells_of(product.judged, weights)
        np.testing.assert_array_equal(mine.evidence, guards.evidence)


def test_a_feature_that_tells_all_is_learnt_and_used(made):
    told = [
        one._replace(cells={"told": one.judged.right - one.judged.wrong})
        for one in made if one.judged.sky != "clear"
    ]  # fmt: skip
    by_scene = {id(one.judged): one for one in told}
    weights = learn(
        [one.judged for one in told], lambda judged: left_out._features(by_scene[id(judged)], ["told"])
    )
    assert weights["told"] > 0


def test_tables_have_every_family_sky_and_sun(made):
    pictures = [judge(one) for one in family_scenes(side=256, surfaces=1, seed=2, maps=None)]
    families = list(left_out.leave_out(pictures, made))
    assert [left.family for left in families] == ["floes", "plates"]
    assert left_out.table_of_families(families).row_count == 6
    evidence = left_out.table_of_evidence(families)
    assert list(evidence.columns[0].cells) == list(left_out.EVIDENCE)
    for left in families:
        for matrices in (left.guarded, *left.more.values()):
            assert all(matrix.sum() == 258 * 258 for matrix in matrices)
    assert left_out.table_of_pixels(families).row_count == 4


def test_parting_is_the_share_of_pairs_in_the_right_order():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 9, 60).astype(np.float32)
    thick = rng.random(60) < 0.4
    pairs = [(a > b) + (a == b) / 2 for a in values[thick] for b in values[~thick]]
    assert left_out.parts(values, thick) == pytest.approx(max(np.mean(pairs), 1 - np.mean(pairs)))
    assert np.isnan(left_out.parts(values, np.ones(60, bool)))
