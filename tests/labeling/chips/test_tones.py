"""Other tones: whatever is drawn, the thresholds go on saying the same of every pixel."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from labeling.chips.tones import CutPoints, draw_curve, draw_tones
from labeling.ice.profile import ThresholdSettings
from labeling.ice.thresholds import label

CUTS = st.tuples(st.integers(0, 253), st.integers(1, 254)).filter(lambda cuts: cuts[0] < cuts[1])


def labels(bands, cuts):
    return label(bands, ThresholdSettings(water_max=cuts[0], thin_ice_max=cuts[1]))


def toned(numbers, bands, cuts):
    drawn = bands.copy()
    draw_tones(numbers, drawn, CutPoints(*cuts))
    return drawn


@given(seed=st.integers(0, 10**6), cuts=CUTS)
def test_no_label_changes_for_any_cut_points(seed, cuts):
    rng = np.random.default_rng(seed)
    bands = rng.integers(1, 256, (3, 24, 40), dtype=np.uint8)
    drawn = toned(rng, bands, cuts)
    np.testing.assert_array_equal(labels(drawn, cuts), labels(bands, cuts))
    assert drawn.max(axis=0).min() >= 1


@given(seed=st.integers(0, 10**6), cuts=CUTS)
def test_curves_rise(seed, cuts):
    curve = draw_curve(np.random.default_rng(seed), CutPoints(*cuts))
    assert curve[0] == 0
    assert (np.diff(curve) >= -1e-4).all()


def test_no_data_stays_black_and_hues_stay():
    bands = np.zeros((3, 32, 32), np.uint8)
    bands[:, :, 8:] = np.array((180, 90, 45))[:, None, None]
    drawn = toned(np.random.default_rng(2), bands, (30, 204))
    assert not drawn[:, :, :8].any()
    red, green, blue = drawn[:, :, 8:].astype(float)
    assert abs(green / red - 0.5).max() < 0.03
    assert abs(blue / red - 0.25).max() < 0.03


def test_tones_reach_from_flat_to_rough_over_the_whole_range():
    ramp = np.array([np.arange(31, 205, dtype=np.uint8)[:, None]] * 3)
    spans, levels = [], []
    for seed in range(100):
        value = toned(np.random.default_rng(seed), ramp, (30, 204)).max(axis=0).astype(int)
        spans.append(np.ptp(value))
        levels.append(np.median(value))
    assert min(spans) < 40
    assert max(spans) > 140
    assert min(levels) < 60
    assert max(levels) > 170
