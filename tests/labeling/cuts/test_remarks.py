"""What is said of chosen cuts: guesses, overlaps and hints that brightness cannot follow."""

import numpy as np
from test_hints import hints
from test_histogram import bumps

from labeling.cuts.hints import hinted_candidate, weighed
from labeling.cuts.propose import Candidate, Cuts, Spread, candidate, stepwise
from labeling.cuts.remarks import class_shares, near_cuts, remarks


def counts_of(*parts):
    return np.rint(bumps(*parts) * 1e6).astype(np.int64)


GOOD = counts_of((16, 3, 0.2), (110, 30, 0.2), (238, 5, 0.6))


def said(counts, given_hints=None, cuts=None):
    found = candidate(counts[None], stepwise)
    return " ".join(remarks(counts, found if cuts is None else found._replace(cuts=cuts), given_hints))


def test_three_clear_classes_need_no_remark():
    assert said(GOOD) == ""
    assert said(GOOD, hints((14, 0), (100, 1), (240, 2))) == ""


def test_a_class_that_is_not_there_makes_its_cut_a_guess():
    no_water = counts_of((110, 30, 0.3), (238, 5, 0.7))
    assert "hardly any open water" in said(no_water)
    assert "water_max" in said(no_water)
    assert "hardly any open water" not in said(no_water, hints((14, 0), (100, 1), (240, 2)))
    assert "hardly any thick ice" in said(counts_of((16, 3, 0.4), (110, 30, 0.6)), cuts=Cuts(30, 230))


def test_a_slope_where_a_valley_should_be_is_told():
    levels = np.arange(256)
    slope = np.where(levels > 25, np.exp(-levels / 60), 0)
    density = bumps((8, 3, 0.3), (240, 5, 0.5)) + 0.2 * slope / slope.sum()
    assert "no valley between open water and thin ice" in said(
        np.rint(density * 1e6).astype(np.int64), cuts=Cuts(50, 200)
    )
    assert "no valley" not in said(GOOD)


def test_one_peak_tells_nothing():
    assert "one peak only" in said(counts_of((238, 6, 1)))


def test_classes_that_brightness_does_not_part_are_named():
    mixed = hints(*[(v, 1) for v in range(200, 240, 4)], *[(v, 2) for v in range(200, 240, 4)], (10, 0))
    told = said(GOOD, mixed, Cuts(30, 204))
    assert "hints of thin ice" in told
    assert "does not tell it" in told
    upside_down = hints((240, 0), (100, 1), (10, 2))
    assert "does not rise from open water" in said(GOOD, upside_down)


def test_a_class_without_hints_is_named():
    assert "No hint says open water" in said(GOOD, hints((100, 1), (240, 2)))


def test_a_cut_through_many_pixels_and_a_wide_spread_are_told():
    told = said(GOOD, cuts=Cuts(30, 236))
    assert "no gap in brightness between thin and thick ice" in told
    wide = Candidate(Cuts(30, 200), Spread(20, 90), Spread(195, 205))
    assert "water_max lies anywhere from V 20 to 90" in " ".join(remarks(GOOD, wide, None))


def test_shares():
    counts = np.zeros(256, np.int64)
    counts[[10, 100, 250]] = 1, 3, 6
    assert class_shares(counts, Cuts(30, 204)) == [0.1, 0.3, 0.6]
    assert near_cuts(counts, Cuts(100, 240)) == [0.3, 0.6]
    assert near_cuts(counts, Cuts(89, 239)) == [0.0, 0.0]


def test_the_spread_with_hints_is_that_of_their_draws():
    given_hints = hints(*[(v, 0 if v < 40 else 1 if v < 190 else 2) for v in range(5, 255, 6)])
    found = hinted_candidate(given_hints, np.stack([GOOD, GOOD]), weighed, draws=20)
    assert found.cuts == weighed(given_hints, 2 * GOOD)
    assert found.water_spread.low <= found.cuts.water_max <= found.water_spread.high
    assert found.thin_spread.low <= found.cuts.thin_ice_max <= found.thin_spread.high
