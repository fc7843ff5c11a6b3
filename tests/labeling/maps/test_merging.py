"""Merging by rule, against the rule applied to one pixel's list of maps."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.maps.merging import Layer, Merger
from labeling.status import UNKNOWN, PixelStatus

IGNORE = 255
PIXELS = 7

pixel = st.tuples(
    st.booleans(),
    st.sampled_from([0, 1, 2, IGNORE]),
    st.sampled_from([0, 1, 2, 3, 5, UNKNOWN]),
    st.integers(0, 3),
)
maps = st.lists(st.lists(pixel, min_size=PIXELS, max_size=PIXELS), min_size=1, max_size=6)


def one_pixel(rule, here):
    """Return class, status and number of one pixel, from what each map says of it."""
    seen = [(n, code, status, sure) for n, (inside, code, status, sure) in enumerate(here, 1) if inside]
    classed = [each for each in seen if each[1] != IGNORE]
    if not classed:
        reasons = [each[2] for each in seen]
        said = [each for each in reasons if each not in (PixelStatus.NODATA, UNKNOWN)]
        fallback = UNKNOWN if UNKNOWN in reasons else PixelStatus.NODATA
        return IGNORE, said[0] if said else fallback, 0
    if rule == "most-certain":
        best = max(classed, key=lambda each: each[3])
    elif rule == "most-common":
        votes = Counter(each[1] for each in classed)
        best = max(classed, key=lambda each: votes[each[1]])
    else:
        best = classed[0]
    return best[1], best[2], best[0]


@pytest.mark.parametrize("rule", ["newest", "clearest", "most-certain", "most-common"])
@given(maps=maps)
def test_each_pixel_follows_the_rule(rule, maps):
    merger = Merger(rule, (1, PIXELS))
    for number, line in enumerate(maps, 1):
        inside, codes, status, sure = (np.array(each)[None] for each in zip(*line, strict=True))
        codes = np.where(inside, codes, IGNORE).astype(np.uint8)
        merger.add(Layer(number, inside, codes, status.astype(np.uint8), sure.astype(np.uint8)))
    found = merger.result()
    for place in range(PIXELS):
        expected = one_pixel(rule, [line[place] for line in maps])
        assert tuple(int(each[0, place]) for each in found) == expected


def test_a_full_block_needs_no_more_maps():
    full = Layer(1, np.ones((1, 2), bool), np.zeros((1, 2), np.uint8), None)
    for rule, done in (("newest", True), ("clearest", True), ("most-common", False)):
        merger = Merger(rule, (1, 2))
        assert not merger.is_full
        merger.add(full)
        assert merger.is_full is done
    with pytest.raises(ValueError, match="certainty"):
        Merger("most-certain", (1, 2)).add(full)
