import cv2
import numpy as np
import pytest
from conftest import patchwork, real_picture
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from labeling.ice.median import _sliding_median, median_background

RADIUS = 77  # the published 155 x 155 window


def check(image, radius=RADIUS, median=_sliding_median):
    expected = cv2.medianBlur(image, 2 * radius + 1)
    result = median(image, radius)
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, expected)


def background(rgb):
    """What the thin-cloud filter takes the median of: grey, water painted white, dilated."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    grey[rgb.max(axis=2) <= 30] = 255
    return cv2.dilate(grey, np.ones((7, 7), np.uint8))


def contents(height, width):
    """Grey pictures, u8 (height, width), that stretch the range of medians in different ways."""
    rows, columns = np.mgrid[:height, :width]
    rng = np.random.default_rng(height)
    grey = {
        "black": rows * 0,
        "white": rows * 0 + 255,
        "checker": (rows + columns) % 2 * 255,
        "wide-checker": (rows // 64 + columns // 64) % 2 * 255,
        "gradient-down": rows * 255 // height,
        "gradient-left": 255 - columns * 255 // width,
        "sawtooth": rows * 3 % 256,
        "noise": rng.integers(0, 256, (height, width)),
        "two-levels": rng.choice([31, 224], (height, width)),
    }
    return {name: values.astype(np.uint8) for name, values in grey.items()}


images = st.tuples(st.integers(1, 40), st.integers(1, 40)).flatmap(
    lambda shape: hnp.arrays(np.uint8, shape, elements=st.integers(0, 255))
)


@given(images, st.integers(0, 12))
@settings(max_examples=150, deadline=None)
def test_any_small_image_and_radius(image, radius):
    check(image, radius)


@given(images, st.integers(0, 60))
@settings(max_examples=50, deadline=None)
def test_any_small_image_through_the_front_door(image, radius):
    check(image, radius, median_background)


@given(st.integers(0, 2**32), st.integers(1, 126), st.integers(2, 256), st.integers(1, 80))
@settings(max_examples=40, deadline=None)
def test_any_radius_on_patches_of_any_levels(seed, radius, levels, patch):
    rng = np.random.default_rng(seed)
    palette = rng.integers(0, 256, levels)
    coarse = palette[rng.integers(0, levels, (150 // patch + 1, 170 // patch + 1))].astype(np.uint8)
    check(np.kron(coarse, np.ones((patch, patch), np.uint8))[:150, :170], radius)


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 200), (200, 3), (160, 90), (300, 517), (240, 1100)])
@pytest.mark.parametrize("median", [_sliding_median, median_background])
def test_realistic_scene(shape, median):
    check(background(patchwork(*shape, seed=shape[0])), RADIUS, median)


def test_real_picture(real_rgb):
    check(background(real_rgb))


def test_real_labels_with_noise():
    labels = real_picture("autolabel_filtered_s2_vis_00.png")[:700, :600, 0]
    noise = np.random.default_rng(0).normal(0, 8, labels.shape)
    water = labels == 0
    grey = np.where(water, 255, np.clip(labels * 0.9 + noise, 31, 250)).astype(np.uint8)
    check(cv2.dilate(grey, np.ones((7, 7), np.uint8)))


@pytest.mark.parametrize("radius", [20, RADIUS, 126])
@pytest.mark.parametrize("name", list(contents(1, 1)))
def test_extreme_contents(name, radius):
    check(contents(270, 310)[name], radius)


@pytest.mark.parametrize("radius", [0, 1, 2, 19, 20, 126, 127])
def test_radii_on_both_sides_of_the_hand_over_to_opencv(radius):
    check(background(patchwork(400, 390, seed=radius)), radius, median_background)


def test_several_tiles_and_views_that_are_not_contiguous():
    wide = background(patchwork(1100, 1300, seed=4))
    check(wide)
    check(wide[::2, 100:1200:2])
    check(wide[:400].T)


def test_the_image_is_left_alone():
    image = background(patchwork(300, 300))
    before = image.copy()
    median_background(image)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint16, np.int8, bool])
def test_other_types_are_refused(dtype):
    with pytest.raises(TypeError, match=f"u8 array, not {np.dtype(dtype)}"):
        median_background(np.zeros((4, 4), dtype))


def test_a_list_is_refused():
    with pytest.raises(TypeError, match="u8 array, not list"):
        median_background([[1, 2], [3, 4]])


@pytest.mark.parametrize("shape", [(4,), (4, 4, 3), (0, 4), (4, 0)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="height, width"):
        median_background(np.zeros(shape, np.uint8))


def test_a_negative_radius_is_refused():
    with pytest.raises(ValueError, match="negative: -1"):
        median_background(np.zeros((4, 4), np.uint8), -1)


@given(data=st.data())
def test_a_part_is_cut_out_of_the_whole(data):
    height, width = data.draw(st.integers(1, 90)), data.draw(st.integers(1, 90))
    image = np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, 256, (height, width), np.uint8)
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    bottom, right = data.draw(st.integers(top + 1, height)), data.draw(st.integers(left + 1, width))
    radius = data.draw(st.integers(0, 40))
    inside = slice(top, bottom), slice(left, right)
    expected = cv2.medianBlur(image, 2 * radius + 1)[inside]
    for median in (_sliding_median, median_background):
        np.testing.assert_array_equal(median(image, radius, inside), expected)
