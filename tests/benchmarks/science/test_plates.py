"""Plates: labels that the thresholds can give, all classes, no picture like another."""

import numpy as np
import pytest

from benchmarks.science.plates import make_plates, plate_picture
from labeling.classes import IceClass
from labeling.ice.label import label_scene
from labeling.ice.profile import load_profile

SIDE = 256
PROFILE = load_profile("polynya-clear")


def surface(seed, side=SIDE):
    return make_plates(np.random.default_rng(seed), side)


@pytest.fixture(scope="module")
def surfaces():
    return [surface(seed) for seed in range(24)]


def test_brightness_says_the_class(surfaces):
    """Without sensor and sunlight to the last pixel, so no label of the training is wrong by the drawing."""
    for classes, value in surfaces:
        ends = (0, PROFILE.thresholds.water_max, PROFILE.thresholds.thin_ice_max)
        np.testing.assert_array_equal(np.digitize(np.ceil(value), [end + 1 for end in ends[1:]]), classes)


@pytest.mark.parametrize("seed", range(6))
def test_thresholds_on_the_picture_agree_but_for_edges_and_noise(seed):
    classes = make_plates(np.random.default_rng([seed, 1]), SIDE).classes
    picture = plate_picture([seed, 1], SIDE)
    found = label_scene(np.ascontiguousarray(picture.transpose(2, 0, 1)), None, PROFILE)
    assert picture.min() >= 1  # 0 would mean no data
    inside = np.ones_like(classes, bool)
    for axis in (0, 1):
        for step in (-1, 1):
            inside &= np.roll(classes, step, axis) == classes
    assert (found == classes)[inside].mean() > 0.98


def test_every_class_is_common_somewhere_and_none_everywhere(surfaces):
    shares = np.array([[(found.classes == kind).mean() for kind in IceClass] for found in surfaces])
    assert (shares.max(axis=0) > 0.4).all()
    assert (shares.min(axis=0) < 0.1).all()
    assert (shares.mean(axis=0) > 0.1).all()


def test_plates_are_large_and_small_even_and_rough(surfaces):
    """Even grey ice is what the simulator's floes lack."""
    neighbours = [np.abs(np.diff(found.value, axis=1)) for found in surfaces]
    even = np.array([(steps < 0.01).mean() for steps in neighbours])
    edges = np.array([(steps > 10).mean() for steps in neighbours])
    assert even.max() > 0.5 > 0.3 > even.min()
    assert edges.max() > 2.5 * edges.min()
    greys = np.concatenate([found.value[found.classes == IceClass.THIN_ICE] for found in surfaces])
    assert (np.histogram(greys, bins=8, range=(31, 205))[0] > 0.02 * greys.size).all()


@pytest.mark.parametrize("side", [64, 128])
def test_a_seed_says_everything_and_another_seed_something_else(side):
    picture = plate_picture([3, 0], side)
    assert picture.shape == (side, side, 3)
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, plate_picture([3, 0], side))
    assert (picture != plate_picture([3, 1], side)).mean() > 0.5
    assert (picture != plate_picture([4, 0], side)).mean() > 0.5
