import numpy as np
import oracle
from conftest import patchwork, planar
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from labeling.ice.profile import ThresholdSettings
from labeling.ice.thresholds import label, label_table

PUBLISHED = ThresholdSettings()


def test_table_has_the_published_cut_points():
    table = label_table(PUBLISHED)
    assert table[[0, 30, 31, 204, 205, 255]].tolist() == [0, 0, 1, 1, 2, 2]


def test_every_colour_channel_value_gets_the_oracles_label():
    # All 256 levels in each channel with the others dark and bright: 13824 colours of every kind.
    levels = np.arange(256, dtype=np.uint8)
    rows = [np.stack(np.broadcast_arrays(levels, other, third), -1) for other in (0, 30, 31, 204, 205, 255)
            for third in (0, 100, 255)]  # fmt: skip
    rgb = np.stack([np.roll(row, shift, axis=1) for row in rows for shift in range(3)]).astype(np.uint8)
    np.testing.assert_array_equal(label(planar(rgb), PUBLISHED), oracle.label(rgb))


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3))))
@settings(max_examples=60, deadline=None)
def test_any_picture_equals_the_oracle(rgb):
    np.testing.assert_array_equal(label(planar(rgb), PUBLISHED), oracle.label(rgb))


def test_wide_and_tall_pictures_are_covered_by_the_strips():
    for height, width in ((1, 70_000), (70_000, 1), (300, 517)):
        rgb = patchwork(height, width)
        np.testing.assert_array_equal(label(planar(rgb), PUBLISHED), oracle.label(rgb))


def test_real_picture_equals_the_oracle(real_rgb):
    np.testing.assert_array_equal(label(planar(real_rgb), PUBLISHED), oracle.label(real_rgb))


@given(st.integers(0, 253), st.integers(1, 200))
def test_labels_are_the_tables_for_any_cut_points(water_max, width_of_thin):
    cuts = ThresholdSettings(water_max=water_max, thin_ice_max=min(254, water_max + width_of_thin))
    levels = np.arange(256, dtype=np.uint8).reshape(1, 256)
    labels = label(np.stack([levels, levels, levels // 2]), cuts)
    np.testing.assert_array_equal(labels[0], label_table(cuts))
