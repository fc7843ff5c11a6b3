"""The compiled loops of skies and tones, held against OpenCV and NumPy, an array at a time."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.chips.fields import STEP
from labeling.chips.loops import curved, look_through, mix, multiply, retone
from labeling.chips.noise import GRAINS


def floats(rng, shape, low=0.0, high=1.0):
    return rng.uniform(low, high, shape).astype(np.float32)


def levels(rng, shape):
    return rng.integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def rng():
    return np.random.default_rng(4)


@pytest.mark.parametrize("shape", [(37, 53), (1, 1), (3, 8), (64, 40)])
def test_a_sky_is_light_kept_and_added(rng, shape):
    points = [-(-side // STEP) + 1 for side in shape]
    veil = [floats(rng, points, 0, 0.9) for _ in range(2)]
    bands, noise = levels(rng, (3, *shape)), levels(rng, shape)
    bands[:, :, ::7] = 0
    lights, spread = np.array([210.5, 199.0, 240.0], np.float32), np.float32(1.3)
    large = [cv2.resize(field, (points[1] * STEP, points[0] * STEP)) for field in veil]
    cloud, shadow = (field[: shape[0], : shape[1]] for field in large)
    kept = (1 - cloud) * (1 - shadow)
    lost = np.sqrt(1 - kept * kept) * spread
    grains = (GRAINS[turned] for turned in (noise, noise[::-1], noise[:, ::-1]))
    expected = [
        np.maximum(cv2.add(kept * band, light * cloud + lost * grain, dtype=cv2.CV_8U), 1)
        for band, light, grain in zip(bands, lights, grains, strict=True)
    ]
    expected *= (bands != 0).any(axis=0)
    look_through(bands, *veil, lights, noise, spread)
    np.testing.assert_array_equal(bands, expected)


@pytest.mark.parametrize("steps", [0, 1, 4])
def test_curves_are_mixed_as_far_as_the_way_says(rng, steps):
    shape = (37, 53)
    bands, curve = levels(rng, (3, *shape)), floats(rng, 256, 0, 255)
    field, way = floats(rng, shape, 0, 255), floats(rng, shape, -0.5, 1.5)
    share = np.clip(way, 0, 1)
    if steps:
        share = np.rint(share * np.float32(steps)) / np.float32(steps)
    expected = field + share * (curve[bands.max(axis=0)] - field)
    mix(bands, curve, way, np.float32(steps), field)
    np.testing.assert_array_equal(field, expected)


@pytest.mark.parametrize("cuts", [(30, 204), (0, 120), (253, 254), (0, 255)])
def test_values_stay_in_their_class(rng, cuts):
    value = np.arange(256, dtype=np.uint8).reshape(8, 32)
    bounds = [(0, 0), (1, cuts[0]), (cuts[0] + 1, cuts[1]), (cuts[1] + 1, 255)]
    for wanted in (-300.0, 0.0, 117.4, 600.0):
        noise = levels(rng, value.shape)
        bands = np.array([value // 3, value, value // 2])
        retone(bands, np.full(value.shape, wanted, np.float32), noise, np.float32(1.5), *cuts)
        for found, was, grain in zip(bands[1].ravel(), value.ravel(), GRAINS[noise].ravel(), strict=True):
            low, high = next((low, high) for low, high in bounds if low <= was <= high)
            assert found == min(max(round(wanted + 1.5 * float(grain)), low), high)


def test_bands_are_multiplied_alike_as_opencv_does(rng):
    bands, wanted = levels(rng, (3, 37, 53)), floats(rng, (37, 53), 1, 255)
    value = bands.max(axis=0)
    ratio = np.rint(wanted) / np.maximum(value, np.float32(1))
    ratio[value == 0] = 0
    expected = [cv2.multiply(band, ratio, dtype=cv2.CV_8U) for band in bands]
    retone(bands, wanted, levels(rng, wanted.shape), np.float32(0), 0, 0)  # one class from 1 to 255
    np.testing.assert_array_equal(bands, expected)


def test_a_curve_is_looked_up_by_the_highest_band(rng):
    bands, curve = levels(rng, (3, 37, 53)), floats(rng, 256)
    found = np.empty((37, 53), np.float32)
    curved(bands, curve, found)
    np.testing.assert_array_equal(found, curve[bands.max(axis=0)])


@given(gain=st.floats(0.5, 2.0))
def test_brightness_is_the_exact_product_rounded(gain):
    bands = np.repeat(np.arange(256, dtype=np.uint8), 3)
    expected = [0, *(min(max(round(level * gain), 1), 255) for level in range(1, 256))]
    multiply(bands, gain)
    np.testing.assert_array_equal(bands[::3], expected)
