"""Skies drawn over training pictures: what they may and may not do to them."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.chips.fields import STEP
from labeling.chips.skies import Veil, brighten, draw_sky, draw_veil, under


def rng(*seed):
    return np.random.default_rng(seed)


def flat(level, height=64, width=64):
    return np.full((3, height, width), level, np.uint8)


def sky_over(numbers, bands, *settings):
    drawn = bands.copy()
    draw_sky(numbers, drawn, *settings)
    return drawn


def seen_under(numbers, bands, cloud, shadow, *settings):
    drawn = bands.copy()
    under(numbers, drawn, Veil(cloud.astype(np.float32), shadow.astype(np.float32)), *settings)
    return drawn


def share(height=64, width=64):
    """Points of a veil over all of a picture."""
    return np.ones((height // STEP + 1, width // STEP + 1), np.float32)


def fields(veil):
    """What a veil is between its points, as OpenCV has it."""
    return [cv2.resize(field, None, fx=STEP, fy=STEP)[:-STEP, :-STEP] for field in veil]


@given(
    seed=st.integers(0, 10**6),
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    level=st.integers(1, 255),
)
def test_any_picture_keeps_its_size_and_no_pixel_becomes_black(seed, height, width, level):
    drawn = flat(level, height, width)
    draw_sky(rng(seed), drawn)
    assert drawn.min() >= 1


def test_the_same_numbers_draw_the_same_sky():
    bands = flat(200)
    np.testing.assert_array_equal(sky_over(rng(3), bands), sky_over(rng(3), bands))
    assert (sky_over(rng(3), bands) != sky_over(rng(4), bands)).any()


def test_black_pixels_hold_no_data_and_stay_black():
    bands = flat(120)
    bands[:, :, :20] = 0
    drawn = sky_over(rng(1), bands)
    assert not drawn[:, :, :20].any()
    assert drawn[:, :, 20:].all()


def test_a_clear_sky_changes_nothing():
    bands = rng(1).integers(1, 256, (3, 32, 48), dtype=np.uint8)
    none = 0 * share(32, 48)
    np.testing.assert_array_equal(seen_under(rng(2), bands, none, none), bands)


@pytest.mark.parametrize("cloud", [0.0, 0.4])
@pytest.mark.parametrize("shadow", [0.0, 0.5])
def test_light_adds_up_linearly(cloud, shadow):
    bands = flat(20)
    bands[:, :, 32:] = 240
    drawn = seen_under(rng(5), bands, cloud * share(), shadow * share()).astype(float)
    contrast = drawn[:, :, 32:].mean() - drawn[:, :, :32].mean()
    assert contrast == pytest.approx(220 * (1 - cloud) * (1 - shadow), abs=1.0)
    light = drawn[:, :, :32].mean() - 20 * (1 - cloud) * (1 - shadow)
    assert cloud * 180 - 1 < light < cloud * 255 + 1


def test_the_noise_that_a_sky_weakens_is_put_back():
    veil = 0.3 * share(128, 128)
    drawn = seen_under(rng(7), flat(200, 128, 128), veil, veil).astype(float)
    noise = drawn - drawn.mean(axis=(1, 2), keepdims=True)
    assert 0.2 < noise.std() < 2
    bands = np.corrcoef(noise.reshape(3, -1))
    assert np.abs(bands[np.triu_indices(3, 1)]).max() < 0.1


def test_noise_is_put_back_in_the_place_where_it_was_lost():
    cloud = 0 * share(128, 128)
    cloud[:8, :8] = 0.5
    drawn = seen_under(rng(8), flat(200, 128, 128), cloud, 0 * cloud).astype(float)
    assert (drawn[:, 32 + STEP :] == 200).all()
    assert (drawn[:, :28, :28].std(axis=(1, 2)) > 0.2).all()


def test_skies_reach_from_hardly_there_to_deep_and_from_gaps_to_overcast():
    veils = [fields(draw_veil(rng(11, number), height=128, width=128)) for number in range(150)]
    for layers in zip(*veils, strict=True):
        deepest = np.array([layer.max() for layer in layers])
        covered = np.array([(layer > 0.02).mean() for layer in layers])
        assert (deepest == 0).mean() > 0.1
        assert deepest.max() > 0.5
        assert (covered > 0.99).any()
        assert ((covered > 0.05) & (covered < 0.95)).mean() > 0.2
    for veil in veils:
        for layer in veil:
            assert layer.shape == (128, 128)
            assert 0 <= layer.min() <= layer.max() <= 0.95


def test_skies_are_soft():
    clouds = [fields(draw_veil(rng(13, number), height=96, width=96))[0] for number in range(60)]
    steps = [np.abs(np.diff(cloud)).max() for cloud in clouds]
    assert max(steps) < 0.12


def test_a_shadow_is_its_clouds_elsewhere():
    """Over many skies cloud and shadow do not lie on each other, yet one field makes both."""
    overlaps = []
    for number in range(80):
        cloud, shadow = fields(draw_veil(rng(17, number), height=128, width=128))
        if cloud.std() > 0.02 and shadow.std() > 0.02:
            overlaps.append(np.corrcoef(cloud.ravel(), shadow.ravel())[0, 1])
    assert len(overlaps) > 15
    assert abs(np.mean(overlaps)) < 0.4


@given(gain=st.floats(0.8, 1.2))
def test_brightening_keeps_order_and_no_data(gain):
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    brighten(levels, gain)
    bright = levels.ravel().astype(int)
    assert bright[0] == 0
    assert bright[1:].min() >= 1
    assert (np.diff(bright) >= 0).all()
    assert abs(bright[100] - 100 * gain) <= 0.5


@pytest.mark.parametrize("thin_ice_max", [204, 154, 102])
def test_cloud_is_about_as_bright_as_thick_ice_in_any_rendering(thin_ice_max):
    cloud = share(8, 8)
    found = [
        seen_under(rng(seed), flat(30, 8, 8), cloud, 0 * cloud, thin_ice_max).max(axis=0).mean()
        for seed in range(60)
    ]
    assert 0.93 < min(found) / thin_ice_max < 1 < max(found) / thin_ice_max < 1.27
