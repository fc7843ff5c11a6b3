"""The compiled loops of skies and tones, held against OpenCV and NumPy, an array at a time."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.chips.bands import split
from labeling.chips.loops import add_enlarged, bounded_ratio, look_through, mix, multiply
from labeling.chips.skies import brighten

SIDES = st.tuples(st.integers(1, 40), st.integers(1, 70))


def floats(rng, shape, low=0.0, high=1.0):
    return rng.uniform(low, high, shape).astype(np.float32)


def levels(rng, shape):
    return rng.integers(0, 256, shape, dtype=np.uint8)


@given(seed=st.integers(0, 10**6), knots=SIDES, part=SIDES, more=SIDES)
def test_a_corner_is_that_of_opencvs_cubic_enlargement(seed, knots, part, more):
    rng = np.random.default_rng(seed)
    rows, columns = part
    height, width = (max(side + extra, n) for side, extra, n in zip(part, more, knots, strict=True))
    field, total = floats(rng, knots), floats(rng, part)
    large = cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width)
    expected = total + large[height - rows :, width - columns :]
    add_enlarged(field, height, width, total)
    np.testing.assert_allclose(total, expected, atol=2e-5)


@pytest.fixture
def rng():
    return np.random.default_rng(4)


def test_a_sky_is_light_kept_and_added(rng):
    shape = (37, 53)
    band, cloud, shadow = levels(rng, shape), floats(rng, shape, 0, 0.9), floats(rng, shape, 0, 0.9)
    noise, light, spread = floats(rng, shape, -3, 3), np.float32(210.5), np.float32(1.3)
    kept = (1 - cloud) * (1 - shadow)
    lost = np.sqrt(1 - kept * kept) * spread
    expected = cv2.add(kept * band, light * cloud + lost * noise, dtype=cv2.CV_8U)
    look_through(band, cloud, shadow, light, noise, spread)
    np.testing.assert_array_equal(band, np.maximum(expected, 1))


@pytest.mark.parametrize("steps", [0, 1, 4])
def test_curves_are_mixed_as_far_as_the_way_says(rng, steps):
    shape = (37, 53)
    one, other, way = floats(rng, shape, 0, 255), floats(rng, shape, 0, 255), floats(rng, shape, -0.5, 1.5)
    share = np.clip(way, 0, 1)
    if steps:
        share = np.rint(share * np.float32(steps)) / np.float32(steps)
    expected = one + share * (other - one)
    mix(one, other, way, np.float32(steps))
    np.testing.assert_array_equal(one, expected)


@pytest.mark.parametrize("cuts", [(30, 204), (0, 120), (253, 254), (0, 255)])
def test_values_stay_in_their_class(rng, cuts):
    value = np.arange(256, dtype=np.uint8).reshape(8, 32)
    for wanted in (-300.0, 0.0, 117.4, 600.0):
        ratio = np.full(value.shape, wanted, np.float32)
        noise = floats(rng, value.shape, -3, 3)
        bounded_ratio(value, ratio, noise, np.float32(1.5), *cuts)
        band = value.copy()
        multiply(band, ratio)
        bounds = [(0, 0), (1, cuts[0]), (cuts[0] + 1, cuts[1]), (cuts[1] + 1, 255)]
        for found, was, grain in zip(band.ravel(), value.ravel(), noise.ravel(), strict=True):
            low, high = next((low, high) for low, high in bounds if low <= was <= high)
            assert found == min(max(round(wanted + 1.5 * float(grain)), low), high)


def test_bands_are_multiplied_as_opencv_does(rng):
    band, ratio = levels(rng, (37, 53)), floats(rng, (37, 53))
    expected = cv2.multiply(band, ratio, dtype=cv2.CV_8U)
    multiply(band, ratio)
    np.testing.assert_array_equal(band, expected)


def test_bands_are_copies(rng):
    picture = levels(rng, (5, 7, 3))
    before = picture.copy()
    for place, band in enumerate(split(picture)):
        np.testing.assert_array_equal(band, before[..., place])
        band[:] = 0
    np.testing.assert_array_equal(picture, before)
    for band, turned in zip(split(picture[:, ::-1]), before.transpose(2, 0, 1), strict=True):
        np.testing.assert_array_equal(band, turned[:, ::-1])


@given(gain=st.floats(0.5, 2.0))
def test_brightness_is_the_exact_product_rounded(gain):
    picture = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(16, 16, 3)
    expected = [0, *(min(max(round(level * gain), 1), 255) for level in range(1, 256))]
    np.testing.assert_array_equal(brighten(picture, gain)[..., 0].ravel(), expected)
