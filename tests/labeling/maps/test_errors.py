"""Errors of maps: Olofsson's formulas where a scene is a pixel, and simulated scenes of known spread."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.maps.errors import MapErrors

ICE, THIN = (1, 2), (1,)


@given(
    cells=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=30, max_size=200),
    weights=st.lists(st.floats(0.01, 1), min_size=3, max_size=3),
)
def test_single_pixels_give_the_published_formulas(cells, weights):
    """Olofsson et al. 2014, equations 2 and 5, with each pixel a scene of its own."""
    cells += [(i, i) for i in range(3) for _ in range(2)]
    matrices = np.zeros((len(cells), 3, 3), int)
    for each, (mapped, true) in zip(matrices, cells, strict=True):
        each[true, mapped] = 1
    errors = MapErrors.of(matrices.tolist())
    counts = np.zeros((3, 3))
    for mapped, true in cells:
        counts[mapped, true] += 1
    shares = np.array(weights) / sum(weights)
    n = counts.sum(axis=1)
    p = shares[:, None] * counts / n[:, None]
    published = p.sum(axis=0)
    variance = ((shares[:, None] * p - p**2) / (n - 1)[:, None]).sum(axis=0)
    assert errors.corrected(shares, THIN) == pytest.approx(published[1])
    # Theirs divides by n_i - 1 for each class, clusters by the number of all of them less one.
    m = len(cells)
    clusters = (shares[:, None] ** 2 * (counts / n[:, None]) * (1 - counts / n[:, None]) / n[:, None]).sum(
        axis=0
    )
    assert errors.standard_error(shares, THIN) ** 2 == pytest.approx(clusters[1] * m / (m - 1))
    assert clusters[1] * m / (m - 1) == pytest.approx(variance[1], rel=1 / (n.min() - 1) + 1e-9)


def test_the_standard_error_is_the_spread_of_many_repetitions():
    """Scenes whose rate of error differs: what eight of them tell spreads as they say it does."""
    rng = np.random.default_rng(1)
    shares = np.array([0.5, 0.2, 0.3])
    found, told = [], []
    for _ in range(600):
        matrices = []
        for _ in range(12):
            rate = rng.beta(4, 36)
            pixels = int(rng.integers(2000, 4000))
            wrong = rng.binomial(pixels, rate)
            matrices.append([[pixels - wrong, 0, 0], [wrong, 2000, 0], [0, 0, 3000]])
        errors = MapErrors.of(matrices)
        found.append(errors.corrected(shares, ICE))
        told.append(errors.standard_error(shares, ICE))
    assert np.mean(found) == pytest.approx(0.5 + 0.5 * 0.1, abs=2e-3)
    assert np.sqrt(np.mean(np.square(told))) == pytest.approx(np.std(found), rel=0.1)
    # Taking 36 000 pixels for independent would say a tenth of that.
    assert np.std(found) > 5 * 0.5 * np.sqrt(0.1 * 0.9 / 36_000)


def test_what_is_not_known_is_not_told():
    one = [[10, 0, 0], [0, 10, 0], [0, 0, 10]]
    assert MapErrors.of([one]) is None
    assert MapErrors.of([one, np.zeros((3, 3), int).tolist()]) is None
    assert MapErrors.of([]) is None
    never_thick = [[10, 1, 0], [0, 10, 0], [0, 3, 0]]
    errors = MapErrors.of([never_thick, never_thick])
    shares = np.array([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]])
    assert np.isnan(errors.uncertainty(shares, ICE)).tolist() == [False, True]


def test_a_map_that_leans_to_one_side_is_uncertain_by_as_much():
    scene = [[80, 0, 20], [0, 100, 0], [0, 0, 100]]  # a fifth of the water is mapped as thick ice
    errors = MapErrors.of([scene, scene, scene])
    told = errors.uncertainty(np.array([0.0, 0.0, 1.0]), ICE)
    assert told == pytest.approx(20 / 120)
