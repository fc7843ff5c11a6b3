"""Noise out of a table, held against SciPy's normal distribution."""

import numpy as np
import pytest
from scipy import stats

from labeling.chips.noise import GRAINS, draw_noise

DRAWN = GRAINS[draw_noise(np.random.default_rng(5), (600, 700))]


def test_its_mean_and_deviation_are_those_of_a_normal_number():
    assert DRAWN.dtype == np.float32
    assert DRAWN.shape == (600, 700)
    assert abs(DRAWN.mean()) < 4 / np.sqrt(DRAWN.size)
    assert DRAWN.std() == pytest.approx(1.0, abs=0.005)


def test_its_distribution_is_normal_to_a_step_of_the_table():
    found = stats.kstest(DRAWN.ravel(), "norm")
    assert found.statistic < 0.5 / 256 + 0.004


def test_neighbours_know_nothing_of_each_other():
    for one, other in ((DRAWN[:, 1:], DRAWN[:, :-1]), (DRAWN[1:], DRAWN[:-1]), (DRAWN[::-1], DRAWN)):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 4 / np.sqrt(DRAWN.size / 2)


def test_rounded_to_levels_it_is_what_normal_noise_is():
    """Of what a sensor adds, a level or two, the table's steps are not to be seen."""
    for deviation in (0.5, 1.6):
        levels = np.rint(100.3 + deviation * DRAWN).astype(int)
        shares = np.bincount(levels.ravel(), minlength=200)[90:112] / levels.size
        edges = np.arange(90, 113) - 0.5
        expected = np.diff(stats.norm.cdf(edges, 100.3, deviation))
        assert np.abs(shares - expected).max() < 0.006
