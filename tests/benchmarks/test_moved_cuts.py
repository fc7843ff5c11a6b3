"""Cut points moved by a network: where they go, where they stay, and what a wrong network cannot do."""

import numpy as np
import pytest

from benchmarks.moved_cuts import CELL, classes_by_moved_cuts
from labeling.label import label_scene
from labeling.profile import load_profile

CLEAR = (30, 204)
TONES = np.array([15, 110, 240])
"""Brightness V of water, thin and thick ice."""


def patches(seed, cells=(6, 8)):
    """Return class codes in patches half a cell wide."""
    drawn = np.random.default_rng(seed).integers(0, 3, (2 * cells[0], 2 * cells[1]))
    return np.kron(drawn, np.ones((CELL // 2, CELL // 2), np.int64)).astype(np.uint8)


def picture(value):
    return np.broadcast_to(np.clip(value, 1, 255).astype(np.uint8), (3, *value.shape))


def said(classes, sureness):
    """Return probabilities of a network that says these classes, as sure of each pixel as `sureness` says."""
    sure = np.broadcast_to(np.asarray(sureness, np.float32), classes.shape)[..., None]
    return np.where(np.eye(3, dtype=bool)[classes], sure, (1 - sure) / 2).astype(np.float32)


def test_cuts_follow_a_veil_that_grows_across_the_scene():
    truth = patches(0)
    passed = np.linspace(1.0, 0.6, truth.shape[1])
    veiled = picture(TONES[truth] * passed + 230 * (1 - passed))
    found = classes_by_moved_cuts(veiled, said(truth, 0.99), CLEAR)
    assert (found != truth).mean() < 0.02
    rule = label_scene(np.ascontiguousarray(veiled), None, load_profile("polynya-clear"))
    assert (rule != truth).mean() > 0.2


def test_cuts_follow_a_shadow():
    truth = patches(1)
    dark = picture(TONES[truth] * 0.55)
    np.testing.assert_array_equal(classes_by_moved_cuts(dark, said(truth, 0.99), CLEAR), truth)


def test_brightness_decides_where_single_pixels_are_said_wrongly():
    truth = patches(2)
    wrong = np.random.default_rng(3).random(truth.shape) < 0.2
    network = np.where(wrong, (truth + 1) % 3, truth)
    lifted = picture(TONES[truth] * 0.8 + 40)
    np.testing.assert_array_equal(classes_by_moved_cuts(lifted, said(network, 0.95), CLEAR), truth)


def test_cuts_stay_where_the_network_is_sure_of_nothing():
    value = np.random.default_rng(4).integers(1, 256, (5 * CELL, 3 * CELL))
    found = classes_by_moved_cuts(picture(value), said(np.zeros_like(value), 0.36), CLEAR)
    np.testing.assert_array_equal(found, np.digitize(value, (31, 205)))


def test_an_unsure_mistake_about_grey_ice_moves_nothing_but_a_sure_one_does():
    truth = np.zeros((4 * CELL, 4 * CELL), np.uint8)
    truth[:, 2 * CELL :] = 1
    water = np.zeros_like(truth)
    for sureness, right in ((0.6, True), (0.99, False)):
        found = classes_by_moved_cuts(picture(TONES[truth]), said(water, sureness), CLEAR)
        assert (found == truth).all() == right


@pytest.mark.parametrize("shape", [(1, 1), (CELL, CELL + 1), (3 * CELL - 1, 7)])
def test_any_shape_will_do(shape):
    value = np.full(shape, 240)
    found = classes_by_moved_cuts(picture(value), said(np.full(shape, 2, np.uint8), 0.9), CLEAR)
    assert found.shape == shape
    assert found.dtype == np.uint8
    assert (found == 2).all()
