"""Cuts from hints: the fewest errors, as trying every pair finds, and scenes left out one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_histogram import bumps

from labeling.cuts.hints import Hints, errors, least_error, left_out_error, recalls, weighed
from labeling.cuts.propose import Cuts, stepwise

COUNTS = np.rint(bumps((16, 3, 0.2), (110, 40, 0.2), (238, 6, 0.6)) * 1e6).astype(np.int64)


def hints(*given):
    """Return hints from (V, class) or (V, class, scene)."""
    rows = [(*each, 0)[:3] for each in given]
    value, ice, scene = (np.array(column) for column in zip(*rows, strict=True))
    return Hints(value.astype(np.uint8), ice.astype(np.uint8), scene)


def wrong(given, water, thin):
    return sum((0 if v <= water else 1 if v <= thin else 2) != ice for v, ice, *_ in given)


@settings(max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 2)), min_size=1, max_size=30))
def test_no_pair_has_fewer_errors(given_hints):
    fewest = min(wrong(given_hints, a, b) for a in range(0, 254) for b in range(a + 1, 255))
    found = least_error(hints(*given_hints), COUNTS)
    assert wrong(given_hints, *found) == fewest
    assert errors(hints(*given_hints), found).sum() == fewest
    assert found.water_max < found.thin_ice_max <= 254


def test_of_equals_the_histograms_own_proposal_is_taken():
    found = least_error(hints((10, 0), (120, 1), (240, 2)), COUNTS)
    assert found == stepwise(COUNTS)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 2)), min_size=1, max_size=30))
def test_any_hints_give_a_pair_that_a_profile_takes(given_hints):
    water, thin = weighed(hints(*given_hints), COUNTS)
    assert 0 <= water < thin <= 254


def test_hints_move_the_cuts_from_where_the_histogram_had_them():
    """Dark ice up to V 190 that somebody calls thick: the histogram alone cannot know that."""
    rng = np.random.default_rng(0)
    levels = rng.integers(120, 255, 60)
    given_hints = (
        [(v, 2 if v > 150 else 1) for v in levels] + [(12, 0)] * 20 + [(v, 1) for v in range(40, 120, 4)]
    )
    found = weighed(hints(*given_hints), COUNTS)
    assert stepwise(COUNTS).thin_ice_max > 170
    assert found.thin_ice_max == pytest.approx(150, abs=12)
    assert found.water_max == pytest.approx(stepwise(COUNTS).water_max, abs=12)


def test_as_many_hints_of_each_class_as_of_the_largest_do_not_pull_the_cut():
    """Classes overlap between 180 and 220, and thick ice has ten times the area of thin."""
    rng = np.random.default_rng(1)
    thin, thick = rng.normal(185, 15, 40_000), rng.normal(222, 12, 400_000)
    counts = np.bincount(np.clip(np.concatenate([thin, thick]), 0, 255).astype(int), minlength=256)
    levels = np.arange(100, 255)
    best = levels[np.argmax([(thin <= v).sum() + (thick > v).sum() for v in levels])]
    draw = [(int(v), 1) for v in thin[:40]] + [(min(int(v), 255), 2) for v in thick[:40]]
    found = weighed(hints(*draw), counts).thin_ice_max
    accuracy = [((thin <= v).sum() + (thick > v).sum()) / 440_000 for v in (found, best)]
    assert accuracy[0] > accuracy[1] - 0.01


def test_scenes_are_left_out_one_by_one():
    """Of two scenes each alone puts the upper cut where the other's hints are wrong."""
    given_hints = [(10, 0, 0), (100, 1, 0), (150, 2, 0), (10, 0, 1), (180, 1, 1), (240, 2, 1)]
    scenes = np.stack([COUNTS, COUNTS])
    found = left_out_error(
        hints(*given_hints), scenes, lambda some, _: Cuts(30, 120 if 0 in some.scene else 200)
    )
    # With the cut of scene 1 (200), scene 0's thick ice at 150 is wrong; with that of scene 0, 180 is.
    assert found == pytest.approx(2 / 6)
    assert left_out_error(hints((10, 0, 3), (240, 2, 3)), scenes, least_error) is None


def test_recalls_are_by_class():
    assert recalls(hints((10, 0), (50, 0), (240, 2)), Cuts(30, 200)) == [0.5, None, 1.0]
