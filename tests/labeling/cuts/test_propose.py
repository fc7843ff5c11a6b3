"""Proposals against brute force, and on histograms whose classes are known."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_histogram import bumps

from labeling.cuts.propose import METHODS, Cuts, candidate, dark_peak, otsu, stepwise, valleys


def counts_of(density, total=1_000_000):
    return np.rint(density * total).astype(np.int64)


def variance_between(values, cuts):
    """Otsu's criterion, literally: sum over classes of share x (mean of class - mean of all) squared."""
    parts = np.split(values, np.searchsorted(values, np.array(cuts) + 0.5))
    return sum(len(part) * (part.mean() - values.mean()) ** 2 for part in parts if len(part)) / len(values)


@settings(max_examples=25)
@given(st.lists(st.integers(0, 24), min_size=3, max_size=40))
def test_otsu_is_the_best_of_all_pairs(values):
    values = np.sort(np.array(values) * 10)
    best = max(variance_between(values, pair) for pair in combinations(range(0, 255, 5), 2))
    found = otsu(np.bincount(values, minlength=256))
    assert variance_between(values, found) == pytest.approx(best, rel=1e-9, abs=1e-9)


def test_valleys_lie_between_three_peaks():
    found = valleys(counts_of(bumps((20, 5, 0.3), (120, 15, 0.3), (230, 8, 0.4))))
    assert 40 < found.water_max < 70
    assert 165 < found.thin_ice_max < 205


def best_accuracy(shares):
    """Return the accuracy of each pair of cuts, (256, 256), for class shares (3, 256) of each level."""
    below = np.cumsum(shares, axis=1)
    found = below[0][:, None] + (below[1][None, :] - below[1][:, None]) + (below[2][-1] - below[2])[None, :]
    return np.where(np.triu(np.ones((256, 256), bool), 1), found, 0) / shares.sum()


@pytest.mark.parametrize("water", [0.003, 0.05, 0.4])
@pytest.mark.parametrize("stretch", [lambda v: v, lambda v: 0.6 * v + 40, lambda v: 255 * (v / 255) ** 0.6])
def test_stepwise_finds_classes_of_any_size_under_a_stretch(water, stretch):
    rng = np.random.default_rng(3)
    parts = (
        rng.normal(16, 3, round(water * 400_000)),
        rng.uniform(32, 205, 60_000),
        rng.normal(235, 6, 300_000),
    )
    shares = np.stack(
        [
            np.bincount(np.clip(np.rint(stretch(np.clip(p, 0, 255))), 0, 255).astype(int), minlength=256)
            for p in parts
        ]
    )
    accuracy = best_accuracy(shares)
    found = stepwise(shares.sum(axis=0))
    assert accuracy[found] > accuracy.max() - 0.015


@given(st.lists(st.integers(0, 1000), min_size=256, max_size=256), st.sampled_from(sorted(METHODS)))
def test_any_histogram_gives_a_pair_that_a_profile_takes(counts, method):
    water, thin = METHODS[method](np.array(counts, np.int64))
    assert 0 <= water < thin <= 254


@pytest.mark.parametrize("level", [0, 1, 2, 7, 128, 253, 254, 255])
@pytest.mark.parametrize("method", sorted(METHODS))
def test_so_does_a_single_level(level, method):
    water, thin = METHODS[method](np.bincount([level] * 100, minlength=256))
    assert 0 <= water < thin <= 254


def test_a_scene_without_water_has_no_dark_peak():
    assert dark_peak(counts_of(bumps((16, 3, 0.1), (110, 40, 0.2), (238, 6, 0.7)))) == 16
    assert dark_peak(counts_of(bumps((238, 6, 1)))) is None


def test_the_spread_tells_how_much_scenes_differ():
    alike = np.tile(counts_of(bumps((16, 3, 0.2), (110, 40, 0.3), (238, 6, 0.5))), (5, 1))
    one = candidate(alike, stepwise)
    assert one.water_spread == (one.cuts.water_max,) * 2
    assert one.thin_spread == (one.cuts.thin_ice_max,) * 2
    darker = counts_of(bumps((10, 3, 0.2), (70, 30, 0.3), (180, 6, 0.5)))
    two = candidate(np.stack([*alike[:2], darker, darker]), stepwise)
    assert two.thin_spread.low < two.thin_spread.high
    assert candidate(alike, stepwise) == one  # drawn by a seed
    assert candidate(alike[:1], stepwise).cuts == Cuts(*stepwise(alike[0]))
