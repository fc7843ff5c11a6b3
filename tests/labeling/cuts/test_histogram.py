"""Histograms of brightness: the sample is the scene's own, and peaks are where they were put."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.cuts.histogram import (
    SAMPLED,
    density_of,
    on_grid,
    peak_levels,
    peaks,
    sample_step,
    smooth,
    without_spikes,
)
from labeling.grid import blocks

LEVELS = np.arange(256)


def bumps(*parts):
    """Return a density of Gaussian bumps (level, sigma, share) on a faint ground."""
    total = np.full(256, 1e-6)
    for level, sigma, share in parts:
        bump = np.exp(-0.5 * ((LEVELS - level) / sigma) ** 2)
        total += share * bump / bump.sum()
    return total / total.sum()


@given(
    height=st.integers(1, 90), width=st.integers(1, 90), rows=st.integers(1, 40), columns=st.integers(1, 40),
    step=st.integers(1, 7),
)  # fmt: skip
def test_the_sample_is_the_same_for_any_cut(height, width, rows, columns, step):
    scene = np.random.default_rng(0).integers(0, 256, (height, width), np.uint8)
    parts = [
        on_grid(scene[b.slices], b, step)
        for b in blocks(height=height, width=width, size=rows, columns=columns)
    ]
    counts = sum(np.bincount(part.ravel(), minlength=256) for part in parts)
    np.testing.assert_array_equal(counts, np.bincount(scene[::step, ::step].ravel(), minlength=256))


@pytest.mark.parametrize(
    ("height", "width", "step"), [(1, 1, 1), (2000, 2000, 1), (2001, 2000, 2), (10980, 10980, 6)]
)
def test_large_scenes_are_sampled(height, width, step):
    assert sample_step(height=height, width=width) == step
    assert -(-height // step) * -(-width // step) <= SAMPLED * 1.01


def test_peaks_stand_where_they_were_put():
    found = peaks(bumps((20, 3, 0.2), (110, 30, 0.3), (240, 5, 0.5)), 1.5)
    assert [peak.level for peak in found] == [20, 110, 240]
    # A Gaussian is half as high at 1.18 sigma, and nearly all of it lies within twice that.
    assert [peak.width for peak in found] == pytest.approx([2 * 1.18 * s for s in (3, 30, 5)], abs=1.5)
    assert [peak.core for peak in found] == pytest.approx([0.2, 0.3, 0.5], abs=0.02)
    assert [peak.low for peak in found][1:] == [peak.high for peak in found][:-1]
    assert found[-1].valley == 0


def test_a_shoulder_is_no_peak():
    density = bumps((100, 10, 0.5), (118, 10, 0.4))
    assert len(peak_levels(density, 1.5)) == 1


def test_smoothing_keeps_the_sum():
    density = density_of(np.random.default_rng(1).integers(0, 9, 256))
    assert smooth(density, 2.5).sum() == pytest.approx(1, abs=0.02)


def test_what_a_stretch_cut_off_is_no_peak():
    density = bumps((40, 5, 0.5), (200, 8, 0.5))
    clipped = density.copy()
    clipped[1] += 0.3
    clipped[254] += 0.3
    clipped[[0, 255]] = 0
    levels = peak_levels(smooth(without_spikes(density_of(clipped * 1e6)), 2), 1.3)
    assert levels == pytest.approx([40, 200], abs=1)
