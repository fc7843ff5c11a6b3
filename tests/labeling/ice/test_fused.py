"""The fused loops against OpenCV and NumPy, for every colour there is."""

import cv2
import numpy as np
import pytest

from labeling.ice.fused import brightness_and_state, count_pairs, grey_and_state, look_up


def every_colour(blue):
    """All 65 536 colours of one blue, u8 (3, n)."""
    red, green = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    return np.stack([red.ravel(), green.ravel(), np.full(red.size, blue, np.uint8)])


@pytest.mark.parametrize("water_max", [0, 30, 253])
def test_all_16_million_colours(water_max):
    value, grey, state, grey_state = (np.empty(1 << 16, np.uint8) for _ in range(4))
    for blue in range(256):
        rgb = every_colour(blue)
        brightness_and_state(rgb, value, state)
        grey_and_state(rgb, water_max, grey, grey_state)
        brightest = rgb.max(axis=0)
        water = brightest <= water_max
        opencv = cv2.cvtColor(np.ascontiguousarray(rgb.T)[np.newaxis], cv2.COLOR_RGB2GRAY)[0]
        np.testing.assert_array_equal(value, brightest)
        np.testing.assert_array_equal(grey, np.where(water, 255, opencv))
        np.testing.assert_array_equal(state, np.where(brightest == 0, 2, 0))
        np.testing.assert_array_equal(grey_state, np.where(brightest == 0, 2, water))


def test_look_up_is_indexing():
    rng = np.random.default_rng(0)
    key, state = rng.integers(0, 256, 999, np.uint8), rng.integers(0, 6, 999, np.uint8)
    table, labels = rng.integers(0, 256, (6, 256), np.uint8), np.empty(999, np.uint8)
    look_up(key, state, table, labels)
    np.testing.assert_array_equal(labels, table[state, key])


def test_pairs_are_counted():
    rng = np.random.default_rng(0)
    key, state = rng.integers(0, 256, 9999, np.uint8), rng.integers(0, 7, 9999, np.uint8)
    counts = np.zeros((2, 7, 256), np.int64)
    count_pairs(key, state, counts)
    expected = np.bincount(state.astype(int) * 256 + key, minlength=7 * 256).reshape(7, 256)
    np.testing.assert_array_equal(counts.sum(axis=0), expected)
