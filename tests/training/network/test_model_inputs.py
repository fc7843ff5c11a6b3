import cv2
import numpy as np
import pytest

from training.network.inputs import network_input

RGB = np.random.default_rng(3).integers(0, 256, (3, 8, 12, 3), np.uint8)


def test_rgb_is_divided_by_255():
    found = network_input(RGB, "rgb", "255")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, RGB.astype(np.float32) / 255)


def test_grey_is_opencvs_grey_of_rgb_order():
    found = network_input(RGB, "grey", "255")
    expected = np.stack([cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in RGB])
    np.testing.assert_array_equal(np.round(found[..., 0] * 255).astype(np.uint8), expected)
    pure = np.zeros((1, 1, 3, 3), np.uint8)
    pure[0, 0, range(3), range(3)] = 255
    # Red, green and blue weigh differently; swapped channels would swap the first and the last.
    np.testing.assert_allclose(network_input(pure, "grey", "255").ravel(), [0.299, 0.587, 0.114], atol=0.003)


def test_column_l2_gives_every_column_unit_length_and_loses_brightness():
    black = np.zeros_like(RGB[:1])
    found = network_input(np.concatenate([RGB, black]), "grey", "column-l2")
    lengths = np.sqrt((found**2).sum(axis=1))
    np.testing.assert_allclose(lengths[:3], 1, rtol=1e-6)
    np.testing.assert_array_equal(lengths[3], 0)
    half = np.full_like(RGB, 100)
    np.testing.assert_allclose(
        network_input(half, "rgb", "column-l2"), network_input(2 * half, "rgb", "column-l2"), rtol=1e-6
    )


@pytest.mark.parametrize("wrong", [RGB.astype(np.float32), RGB[..., :2], RGB[0]])
def test_anything_but_u8_pictures_is_refused(wrong):
    with pytest.raises(ValueError, match="u8 pictures"):
        network_input(wrong, "rgb", "255")


def test_no_picture_gives_no_input():
    assert network_input(RGB[:0], "grey", "255").shape == (0, 8, 12, 1)
