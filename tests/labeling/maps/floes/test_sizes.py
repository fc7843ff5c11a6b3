"""Exponents and errors of sizes that were drawn from a known law; bins count what they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.maps.floes.sizes import FORMS, LEAST_FLOES, count_bins, fit_power_law


def drawn(rng, count, alpha, at_least):
    """Sizes whose density falls as size ** -alpha: NumPy's Pareto law has the exponent less one."""
    return at_least * (1 + rng.pareto(alpha - 1, count))


@pytest.mark.parametrize("alpha", [1.6, 2.4, 3.5])
def test_the_exponent_is_within_its_errors_as_often_as_a_normal_law_says(alpha):
    rng = np.random.default_rng(7)
    fits = [fit_power_law(drawn(rng, 400, alpha, 30.0), 30.0) for _ in range(400)]
    errors = np.array([(fit.alpha - alpha) / fit.error for fit in fits])
    # 400 trials of a chance of 68.3 %, and of 95.4 %: within four standard deviations of their counts.
    assert np.mean(np.abs(errors) < 1) == pytest.approx(0.683, abs=0.093)
    assert np.mean(np.abs(errors) < 2) == pytest.approx(0.954, abs=0.042)
    assert all(fit.floes == 400 for fit in fits)


def test_the_start_of_a_law_is_found_where_smaller_sizes_follow_another():
    rng = np.random.default_rng(3)
    sizes = np.concatenate([rng.uniform(5, 40, 3000), drawn(rng, 3000, 2.3, 40.0)])
    fit = fit_power_law(sizes)
    assert fit.at_least == pytest.approx(40, rel=0.15)
    assert fit.alpha == pytest.approx(2.3, abs=4 * fit.error)
    assert fit.distance < 0.03
    assert fit_power_law(sizes, 5.0).distance > 0.2


def test_what_is_no_law_is_far_from_it():
    sizes = np.random.default_rng(1).normal(100, 10, 2000)
    assert fit_power_law(sizes, 50.0).distance > 0.3


def test_few_or_equal_sizes_say_nothing():
    few = np.linspace(10, 500, LEAST_FLOES - 1)
    assert fit_power_law(few) is None
    assert fit_power_law(few, 1.0) is None
    assert fit_power_law(np.append(few, 501.0)) is not None
    assert fit_power_law(np.full(1000, 3.0)) is None
    assert fit_power_law(np.zeros(0)) is None


@given(st.lists(st.floats(1, 1e5), max_size=60))
def test_every_floe_is_in_one_bin_or_too_small(sizes):
    diameters = np.array(sizes, np.float64)
    areas = np.pi * diameters**2 / 4
    bins = count_bins(diameters, areas)
    assert [each.at_least for each in bins] == list(FORMS)
    for each in bins:
        held = [size for size in sizes if each.at_least <= size < each.below]
        assert each.floes == len(held)
        assert each.area_m2 == pytest.approx(sum(np.pi * size**2 / 4 for size in held))
    assert sum(each.floes for each in bins) == sum(size >= FORMS[0] for size in sizes)
