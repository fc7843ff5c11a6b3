"""Doubts: told where a histogram cannot fit the cut points, with figures; silent where it can."""

import numpy as np
import pytest
from test_histogram import bumps

from labeling.cuts.doubts import brightness_doubts
from labeling.ice.profile import ThresholdSettings
from labeling.ice.thresholds import brightness
from labeling.simulation.scene import simulate, variety

CUTS = ThresholdSettings(water_max=30, thin_ice_max=204)


def codes(density, cuts=CUTS):
    counts = np.rint(density * 1_000_000).astype(np.int64)
    return [doubt.code for doubt in brightness_doubts(counts, cuts)]


RIGHT = bumps((16, 3, 0.2), (110, 40, 0.2), (238, 6, 0.6))


@pytest.mark.parametrize(
    ("density", "expected"),
    [
        (RIGHT, []),
        (bumps((110, 40, 1)), []),  # all thin ice
        (bumps((240, 6, 1)), []),  # all snow
        (bumps((15, 3, 1)), []),  # all water
        (bumps((52, 4, 0.2), (130, 30, 0.2), (240, 6, 0.6)), ["dark-peak"]),
        (bumps((12, 3, 0.1), (80, 30, 0.3), (150, 5, 0.6)), ["bright-peak"]),
        (bumps((30, 4, 0.3), (120, 40, 0.2), (240, 6, 0.5)), ["cut-in-peak"]),
        (bumps((15, 3, 0.3), (110, 30, 0.2), (204, 6, 0.5)), ["cut-in-peak"]),
        (bumps((60, 5, 0.4), (170, 6, 0.6)), ["dark-peak", "bright-peak", "one-class"]),
    ],
)
def test_each_kind_of_histogram(density, expected):
    assert codes(density) == expected


def test_saturation_is_told_where_it_takes_most_of_the_thick_ice():
    density = bumps((16, 3, 0.2), (110, 40, 0.2))
    assert codes(0.4 * density + 0.6 * (np.arange(256) == 255)) == ["saturated"]
    snow = 0.5 * bumps((238, 6, 1)) + 0.5 * (np.arange(256) == 255)
    assert codes(0.4 * density + 0.6 * snow) == []


def test_a_doubt_carries_figures_and_the_way_out():
    counts = np.rint(bumps((52, 4, 0.25), (130, 30, 0.2), (240, 6, 0.55)) * 1e6).astype(np.int64)
    [doubt] = brightness_doubts(counts, CUTS)
    assert "V 52" in doubt.text
    assert "25%" in doubt.text
    assert "jobs.calibrate --scenes" in doubt.text


def test_nothing_counted_is_no_doubt():
    assert brightness_doubts(np.zeros(256, np.int64), CUTS) == []


def test_the_cut_points_decide_not_their_usual_values():
    darker = np.zeros(256)
    np.add.at(darker, np.arange(256) * 7 // 10, RIGHT)
    assert codes(darker) != []
    assert codes(darker, ThresholdSettings(water_max=21, thin_ice_max=143)) == []


def test_simulated_scenes_are_believed_and_their_stretches_are_not():
    specs = variety(16, height=256, width=256, seed=5)
    values = [brightness(simulate(spec).rgb) for spec in specs]
    believed = [not brightness_doubts(np.bincount(v[v > 0], minlength=256), CUTS) for v in values]
    lifted = [np.clip(0.7 * v + 40, 1, 255).astype(np.uint8)[v > 0] for v in values]
    doubted = [bool(brightness_doubts(np.bincount(v, minlength=256), CUTS)) for v in lifted]
    assert np.mean(believed) >= 0.9
    assert np.mean(doubted) >= 0.8
