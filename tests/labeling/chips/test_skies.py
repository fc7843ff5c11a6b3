"""Skies drawn over training pictures: what they may and may not do to them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.chips.skies import Veil, brighten, draw_sky, draw_veil, under


def rng(*seed):
    return np.random.default_rng(seed)


def flat(level, height=64, width=64):
    return np.full((height, width, 3), level, np.uint8)


@given(
    seed=st.integers(0, 10**6),
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    level=st.integers(1, 255),
)
def test_any_picture_keeps_its_size_and_no_pixel_becomes_black(seed, height, width, level):
    drawn = draw_sky(rng(seed), flat(level, height, width))
    assert drawn.shape == (height, width, 3)
    assert drawn.dtype == np.uint8
    assert drawn.min() >= 1


def test_the_same_numbers_draw_the_same_sky_and_the_picture_is_left_alone():
    picture = flat(200)
    np.testing.assert_array_equal(draw_sky(rng(3), picture), draw_sky(rng(3), picture))
    assert (draw_sky(rng(3), picture) != draw_sky(rng(4), picture)).any()
    assert (picture == 200).all()


def test_black_pixels_hold_no_data_and_stay_black():
    picture = flat(120)
    picture[:, :20] = 0
    drawn = draw_sky(rng(1), picture)
    assert not drawn[:, :20].any()
    assert drawn[:, 20:].all()


def test_a_clear_sky_changes_nothing():
    picture = rng(1).integers(1, 256, (32, 48, 3), dtype=np.uint8)
    none = np.zeros((32, 48), np.float32)
    np.testing.assert_array_equal(under(rng(2), picture, Veil(none, none)), picture)


@pytest.mark.parametrize("cloud", [0.0, 0.4])
@pytest.mark.parametrize("shadow", [0.0, 0.5])
def test_light_adds_up_linearly(cloud, shadow):
    picture = flat(20)
    picture[:, 32:] = 240
    share = np.ones((64, 64), np.float32)
    drawn = under(rng(5), picture, Veil(share * np.float32(cloud), share * np.float32(shadow))).astype(float)
    contrast = drawn[:, 32:].mean() - drawn[:, :32].mean()
    assert contrast == pytest.approx(220 * (1 - cloud) * (1 - shadow), abs=1.0)
    light = drawn[:, :32].mean() - 20 * (1 - cloud) * (1 - shadow)
    assert cloud * 180 - 1 < light < cloud * 255 + 1


def test_the_noise_that_a_sky_weakens_is_put_back():
    share = np.ones((128, 128), np.float32)
    drawn = under(rng(7), flat(200, 128, 128), Veil(0.3 * share, 0.3 * share)).astype(float)
    noise = drawn - drawn.mean(axis=(0, 1))
    assert 0.2 < noise.std() < 2
    bands = np.corrcoef(noise.reshape(-1, 3).T)
    assert np.abs(bands[np.triu_indices(3, 1)]).max() < 0.1


def test_noise_is_put_back_in_the_place_where_it_was_lost():
    cloud = np.zeros((128, 128), np.float32)
    cloud[:32, :32] = 0.5
    drawn = under(rng(8), flat(200, 128, 128), Veil(cloud, cloud * 0)).astype(float)
    assert (drawn[32:] == 200).all()
    assert (drawn[:32, :32].std(axis=(0, 1)) > 0.2).all()


def test_skies_reach_from_hardly_there_to_deep_and_from_gaps_to_overcast():
    veils = [draw_veil(rng(11, number), height=128, width=128) for number in range(150)]
    for kind in ("cloud", "shadow"):
        deepest = np.array([getattr(veil, kind).max() for veil in veils])
        covered = np.array([(getattr(veil, kind) > 0.02).mean() for veil in veils])
        assert (deepest == 0).mean() > 0.1
        assert deepest.max() > 0.5
        assert (covered > 0.99).any()
        assert ((covered > 0.05) & (covered < 0.95)).mean() > 0.2
    for veil in veils:
        for layer in veil:
            assert layer.shape == (128, 128)
            assert 0 <= layer.min() <= layer.max() <= 0.95


def test_skies_are_soft():
    steps = [np.abs(np.diff(draw_veil(rng(13, n), height=96, width=96).cloud)).max() for n in range(60)]
    assert max(steps) < 0.12


def test_a_shadow_is_its_clouds_elsewhere():
    """Over many skies cloud and shadow do not lie on each other, yet one field makes both."""
    overlaps = []
    for number in range(80):
        cloud, shadow = draw_veil(rng(17, number), height=128, width=128)
        if cloud.std() > 0.02 and shadow.std() > 0.02:
            overlaps.append(np.corrcoef(cloud.ravel(), shadow.ravel())[0, 1])
    assert len(overlaps) > 15
    assert abs(np.mean(overlaps)) < 0.4


@given(gain=st.floats(0.8, 1.2))
def test_brightening_keeps_order_and_no_data(gain):
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    bright = brighten(levels, gain).ravel().astype(int)
    assert bright[0] == 0
    assert bright[1:].min() >= 1
    assert (np.diff(bright) >= 0).all()
    assert abs(bright[100] - 100 * gain) <= 0.5


@pytest.mark.parametrize("thin_ice_max", [204, 154, 102])
def test_cloud_is_about_as_bright_as_thick_ice_in_any_rendering(thin_ice_max):
    cloud = np.ones((8, 8), np.float32)
    found = [
        under(rng(seed), flat(30, 8, 8), Veil(cloud, 0 * cloud), thin_ice_max).max(axis=-1).mean()
        for seed in range(60)
    ]
    assert 0.93 < min(found) / thin_ice_max < 1 < max(found) / thin_ice_max < 1.27
