"""Black regions: no-data from the edge on, dark water else."""

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from labeling.ice.nodata import MIN_SHARE, settle

ICE, BLACK, NODATA, WATER = range(4)


def nodata_of(black):
    """Settle a mask of black pixels; return which are no-data, after a look at the others."""
    codes = np.where(black, BLACK, ICE).astype(np.uint8)
    settle(codes, black=BLACK, nodata=NODATA, water=WATER)
    np.testing.assert_array_equal(codes == ICE, ~black)
    assert not (codes == BLACK).any()
    return codes == NODATA


def test_a_region_on_the_edge_of_a_thousandth_counts_and_a_smaller_one_does_not():
    black = np.zeros((100, 100), bool)
    black[0, 40:50] = True  # exactly 0.1 %
    black[99, 40:49] = True  # one pixel less
    black[40:60, 40:60] = True  # large, but inside: dark water
    found = nodata_of(black)
    assert found[0, 40:50].all()
    assert found.sum() == 10


def test_regions_connect_by_sides_not_corners():
    black = np.zeros((100, 100), bool)
    black[0, 0] = True
    black[1:40, 1:40] = True
    assert not nodata_of(black).any()


def test_all_black_is_all_nodata():
    assert nodata_of(np.ones((2, 2), bool)).all()


@given(
    arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=9)),
    st.integers(1, 12),
)
def test_any_regions_against_connected_components(pattern, scale):
    black = np.kron(pattern, np.ones((scale, scale), bool))
    count, regions = cv2.connectedComponents(black.astype(np.uint8), connectivity=4)
    edge = {*regions[0], *regions[-1], *regions[:, 0], *regions[:, -1]}
    large = [n for n in range(1, count) if n in edge and (regions == n).sum() >= MIN_SHARE * black.size]
    np.testing.assert_array_equal(nodata_of(black), np.isin(regions, large))
