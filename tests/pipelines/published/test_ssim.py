"""Structural similarity, held against the formula written out window by window."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.classes import IGNORE
from pipelines.published.ssim import LEVELS, label_ssim, ssim


def literal(first, second):
    """The formula of Wang et al. 2004 at every place where the window fits."""
    steps = np.arange(11) - 5
    line = np.exp(-(steps**2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    found = []
    for row in range(first.shape[0] - 10):
        for column in range(first.shape[1] - 10):
            x, y = (p[row : row + 11, column : column + 11].astype(float) for p in (first, second))
            mx, my = (window * x).sum(), (window * y).sum()
            vx, vy = (window * (x - mx) ** 2).sum(), (window * (y - my) ** 2).sum()
            shared = (window * (x - mx) * (y - my)).sum()
            c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
            found.append((2 * mx * my + c1) * (2 * shared + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    return np.mean(found)


@given(seed=st.integers(0, 1000), height=st.integers(11, 18), width=st.integers(11, 18))
def test_it_is_the_published_formula(seed, height, width):
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 256, (2, height, width), dtype=np.uint8)
    assert ssim(first, second) == pytest.approx(literal(first, second), abs=1e-9)


def test_equal_pictures_score_one_and_order_does_not_matter():
    rng = np.random.default_rng(1)
    first, second = rng.integers(0, 256, (2, 40, 30), dtype=np.uint8)
    assert ssim(first, first) == pytest.approx(1.0)
    assert ssim(first, second) == pytest.approx(ssim(second, first))


def test_label_maps_are_drawn_in_grey_levels_and_unknown_pixels_left_out():
    rng = np.random.default_rng(2)
    first, second = rng.integers(0, 3, (2, 32, 32), dtype=np.uint8)
    drawn = np.array(LEVELS, np.uint8)
    assert label_ssim(first, second) == ssim(drawn[first], drawn[second])
    unknown = np.full_like(first, IGNORE)
    assert label_ssim(first, unknown) == pytest.approx(1.0)


@pytest.mark.parametrize("shapes", [((10, 20), (10, 20)), ((20, 20), (20, 21))])
def test_what_cannot_be_compared_is_refused(shapes):
    with pytest.raises(ValueError, match="one shape"):
        ssim(*(np.zeros(shape, np.uint8) for shape in shapes))
