"""Cut points moved by a network: where they go, where they stay, and that blocks change nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.grid import blocks
from labeling.ice.label import label_scene
from labeling.ice.moved_cuts import CELL, LIFT, Opinion, cut, likeliest, opinion, scene_cuts, weigh_lifts
from labeling.ice.profile import ThresholdSettings, load_profile

THRESHOLDS = ThresholdSettings(water_max=30, thin_ice_max=204)
TONES = np.array([15, 110, 240])
"""Brightness V of water, thin and thick ice."""


def patches(seed, cells=(6, 8)):
    """Return class codes in patches half a cell wide."""
    drawn = np.random.default_rng(seed).integers(0, 3, (2 * cells[0], 2 * cells[1]))
    return np.kron(drawn, np.ones((CELL // 2, CELL // 2), np.int64)).astype(np.uint8)


def bright(value):
    return np.clip(value, 1, 255).astype(np.uint8)


def said(classes, sureness):
    """Return probabilities of a network that says these classes, as sure of each pixel as `sureness` says."""
    sure = np.broadcast_to(np.asarray(sureness, np.float32), classes.shape)[..., None]
    return np.where(np.eye(3, dtype=bool)[classes], sure, (1 - sure) / 2).astype(np.float32)


def cuts_of(whole, band=32):
    height, width = whole.value.shape
    return scene_cuts(whole.part, height=height, width=width, thresholds=THRESHOLDS, band=band)


def found_by(value, probabilities):
    return cut(value, cuts_of(opinion(value, probabilities)))


@given(st.lists(st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0]), min_size=3, max_size=3), min_size=1))
def test_the_likeliest_class_is_the_first_of_the_highest(pixels):
    probabilities = np.array([pixels], np.float32)
    assert likeliest(probabilities).tolist() == [[each.index(max(each)) for each in pixels]]
    assert likeliest(probabilities).dtype == np.uint8
    sureness = opinion(np.zeros((1, len(pixels)), np.uint8), probabilities).sureness
    assert sureness.tolist() == [[round(255 * max(each)) for each in np.float32(pixels).tolist()]]


def test_cuts_follow_a_veil_that_grows_across_the_scene():
    truth = patches(0)
    passed = np.linspace(1.0, 0.6, truth.shape[1])
    veiled = bright(TONES[truth] * passed + 230 * (1 - passed))
    assert (found_by(veiled, said(truth, 0.99)) != truth).mean() < 0.02
    picture = np.ascontiguousarray(np.broadcast_to(veiled, (3, *veiled.shape)))
    assert (label_scene(picture, None, load_profile("polynya-clear")) != truth).mean() > 0.2


def test_cuts_follow_a_shadow():
    truth = patches(1)
    np.testing.assert_array_equal(found_by(bright(TONES[truth] * 0.55), said(truth, 0.99)), truth)


def test_brightness_decides_where_single_pixels_are_said_wrongly():
    truth = patches(2)
    wrong = np.random.default_rng(3).random(truth.shape) < 0.2
    network = np.where(wrong, (truth + 1) % 3, truth)
    lifted = bright(TONES[truth] * 0.8 + 40)
    np.testing.assert_array_equal(found_by(lifted, said(network, 0.95)), truth)


def test_cuts_stay_where_the_network_is_sure_of_nothing():
    value = np.random.default_rng(4).integers(1, 256, (5 * CELL, 3 * CELL)).astype(np.uint8)
    found = found_by(value, said(np.zeros_like(value), 0.36))
    np.testing.assert_array_equal(found, np.digitize(value, (31, 205)))


def test_an_unsure_mistake_about_grey_ice_moves_nothing_but_a_sure_one_does():
    truth = np.zeros((4 * CELL, 4 * CELL), np.uint8)
    truth[:, 2 * CELL :] = 1
    water = np.zeros_like(truth)
    for sureness, right in ((0.6, True), (0.99, False)):
        found = found_by(bright(TONES[truth]), said(water, sureness))
        assert (found == truth).all() == right


def test_pixels_that_shall_not_count_move_nothing():
    truth = patches(5)
    dark = bright(TONES[truth] * 0.55)
    network = opinion(dark, said(truth, 0.99))
    beside = np.random.default_rng(6).integers(1, 256, truth.shape).astype(np.uint8)
    for value, classes in ((dark, 2 - truth), (beside, truth)):
        some = Opinion(
            np.hstack([dark, value]),
            np.hstack([network.classes, classes]),
            np.hstack([network.sureness, np.zeros_like(truth)]),
        )
        np.testing.assert_array_equal(cut(dark, cuts_of(some)), truth)


def plain_cuts(whole):
    """Return each cell's cut points by looking at every pixel for every cut point: slow and plain."""
    height, width = whole.value.shape
    rows, columns = -(-height // CELL), -(-width // CELL)
    weight = (whole.sureness / 255) ** 12 / CELL**2
    histograms = np.zeros((rows, columns, 3, 129))
    for row, column in np.ndindex(height, width):
        kind, level = whole.classes[row, column], (int(whole.value[row, column]) + 1) // 2
        histograms[row // CELL, column // CELL, kind, level] += weight[row, column]
    for axis, sigma, reach in ((0, 1, 4), (1, 1, 4), (3, 2, 8)):
        steps = np.arange(histograms.shape[axis])
        apart = np.abs(steps[:, None] - steps)
        near = np.where(apart <= reach, np.exp(-0.5 * (apart / sigma) ** 2), 0)
        near /= np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2).sum()
        histograms = np.moveaxis(np.tensordot(histograms, near, (axis, 0)), -1, axis)
    levels = 2.0 * np.arange(129) + 0.5
    cuts = np.empty((2, rows, columns))
    for upper, hold, highest in ((1, 0.008, 30), (2, 0.0001, 204)):
        brighter, darker = histograms[:, :, upper:].sum(2), histograms[:, :, :upper].sum(2)
        for row, column in np.ndindex(rows, columns):
            price = [
                brighter[row, column, : one + 1].sum()
                + darker[row, column, one + 1 :].sum()
                + hold * ((levels[one] - highest - 0.5) / 20) ** 2
                for one in range(129)
            ]
            cuts[upper - 1, row, column] = levels[np.argmin(price)]
    return cuts


def drawn(seed, shape):
    """Return an opinion with something to decide: noisy tones under a veil, by a network that errs."""
    rng = np.random.default_rng(seed)
    truth = patches(seed, tuple(-(-side // CELL) for side in shape))[: shape[0], : shape[1]]
    value = bright(TONES[truth] * 0.7 + np.linspace(0, 90, shape[1]) + rng.normal(0, 12, shape))
    classes = np.where(rng.random(shape) < 0.3, rng.integers(0, 3, shape), truth).astype(np.uint8)
    return Opinion(value, classes, rng.integers(85, 256, shape).astype(np.uint8))


def test_cuts_are_those_of_the_plain_way():
    for seed, shape in ((0, (5 * CELL, 7 * CELL)), (1, (3 * CELL + 5, 12 * CELL - 3))):
        whole = drawn(seed, shape)
        plain = plain_cuts(whole)
        assert len(np.unique(plain)) > 10
        np.testing.assert_array_equal(cuts_of(whole), plain)


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 99),
    height=st.integers(1, 9 * CELL),
    width=st.integers(1, 5 * CELL),
    band=st.integers(1, 12),
    size=st.integers(7, 60),
)
def test_bands_and_blocks_change_nothing(seed, height, width, band, size):
    whole = drawn(seed, (height, width))
    cuts = cuts_of(whole)
    np.testing.assert_array_equal(cuts_of(whole, band), cuts)
    classes = np.full((height, width), 9, np.uint8)
    for block in blocks(height=height, width=width, size=size):
        classes[block.slices] = cut(whole.value[block.slices], cuts, block.row, block.column)
    np.testing.assert_array_equal(classes, cut(whole.value, cuts))


def test_cut_points_run_evenly_from_middle_to_middle():
    cuts = np.array([[[20.0, 60.0], [20.0, 60.0]], [[200.0, 200.0], [120.0, 120.0]]], np.float32)
    value = np.full((2 * CELL, 2 * CELL), 40, np.uint8)
    np.testing.assert_array_equal(cut(value, cuts)[0], np.repeat([1, 0], CELL))
    value[:] = 160
    np.testing.assert_array_equal(cut(value, cuts)[:, 0], np.repeat([1, 2], CELL))
    value[:] = 61
    assert (cut(value, cuts) == 1).all()


def test_lifts_turn_thin_ice_to_thick_where_the_network_wavers():
    probabilities = np.array([[[0.0, 0.6, 0.4], [0.0, 0.8, 0.2], [0.6, 0.3, 0.1]]], np.float32)
    value, thick = np.full((1, 3), 204, np.uint8), np.full((1, 3), 2, np.uint8)
    weighed = weigh_lifts(probabilities, value, thick, THRESHOLDS)
    np.testing.assert_array_equal(weighed.argmax(-1), [[2, 1, 0]])
    np.testing.assert_allclose(weighed.sum(-1), 1, rtol=1e-6)
    np.testing.assert_allclose(
        weighed[..., 2] / weighed[..., 1], LIFT * np.array([[4 / 6, 1 / 4, 1 / 3]]), rtol=1e-5
    )
    for bright, labels in ((value + 1, thick), (value, thick - 1)):  # thick by brightness, or not even now
        unchanged = weigh_lifts(probabilities, bright, labels, THRESHOLDS)
        np.testing.assert_allclose(unchanged, probabilities, rtol=1e-6)


def test_an_opinion_keeps_the_likeliest_class_and_how_likely_it_is():
    value = np.array([[7, 8]], np.uint8)
    found = opinion(value, np.array([[[0.1, 0.7, 0.2], [0.0, 0.0, 1.0]]], np.float32))
    assert found.classes.tolist() == [[1, 2]]
    assert found.sureness.tolist() == [[178, 255]]
    assert found.value is value


@pytest.mark.parametrize("shape", [(1, 1), (CELL, CELL + 1), (3 * CELL - 1, 7)])
def test_any_shape_will_do(shape):
    value = np.full(shape, 240, np.uint8)
    found = found_by(value, said(np.full(shape, 2, np.uint8), 0.9))
    assert found.shape == shape
    assert found.dtype == np.uint8
    assert (found == 2).all()
