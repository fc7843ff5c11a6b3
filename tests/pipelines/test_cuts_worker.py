"""Opinions kept block by block and the cuts they move, without Spark."""

import numpy as np
import pytest

from labeling.errors import SceneError
from labeling.grid import Block, blocks
from labeling.ice.moved_cuts import CELL
from labeling.ice.profile import ThresholdSettings
from labeling.stages.planes import MemoryPlanes
from pipelines.cuts_worker import cut_classes, keep_opinion, thresholds_of

SIDE = 4 * CELL
WHOLE = Block(0, 0, SIDE, SIDE)
THRESHOLDS = ThresholdSettings()


def keep(value, classes, labels, sureness=0.98, size=SIDE):
    """Return planes with a network's opinion, kept block by block."""
    planes = MemoryPlanes(height=SIDE, width=SIDE)
    rgb = np.broadcast_to(value, (3, SIDE, SIDE)).astype(np.uint8)
    probabilities = np.where(np.eye(3, dtype=bool)[classes], sureness, (1 - sureness) / 2).astype(np.float32)
    for block in blocks(height=SIDE, width=SIDE, size=size):
        part = block.slices
        keep_opinion(planes, block, rgb[:, *part], probabilities[part], labels[part], THRESHOLDS)
    return planes


def halves(left, right):
    return np.repeat([[left, right]], SIDE // 2, axis=1) * np.ones((SIDE, 1), np.int64)


def test_pixels_without_class_move_no_cut():
    value, nothing = halves(150, 160), np.zeros((SIDE, SIDE), np.bool_)
    thick, labels = np.full((SIDE, SIDE), 2), np.ones((SIDE, SIDE), np.uint8)
    planes = keep(value, thick, labels)
    assert (cut_classes(planes, nothing, THRESHOLDS)(WHOLE) == 2).all()
    assert (cut_classes(planes, ~nothing, THRESHOLDS)(WHOLE) == 1).all()
    some = halves(0, 1) == 1
    assert (cut_classes(planes, some, THRESHOLDS)(WHOLE)[:, : SIDE // 2] == 2).all()
    # The right half says that thick ice begins at 160; if it does not count, thin ice ends above it.
    planes = keep(value, halves(1, 2), labels)
    assert (cut_classes(planes, nothing, THRESHOLDS)(WHOLE)[:, -1] == 2).all()
    assert (cut_classes(planes, some, THRESHOLDS)(WHOLE) == 1).all()


def test_lifts_of_the_filter_weigh_for_thick_ice_below_its_threshold_only():
    wavering = np.ones((SIDE, SIDE), np.int64)
    thick, thin = (np.full((SIDE, SIDE), code, np.uint8) for code in (2, 1))
    for value, labels, expected in ((180, thick, 2), (180, thin, 1), (204, thick, 2), (205, thick, 1)):
        planes = keep(np.full((SIDE, SIDE), value), wavering, labels, sureness=0.5)
        assert (planes.get("class", WHOLE) == expected).all()


def test_blocks_change_nothing():
    rng = np.random.default_rng(1)
    value, classes = rng.integers(1, 256, (2, SIDE, SIDE))
    labels = rng.integers(0, 3, (SIDE, SIDE)).astype(np.uint8)
    ignored = rng.random((SIDE, SIDE)) < 0.1
    whole = cut_classes(keep(value, classes % 3, labels), ignored, THRESHOLDS)(WHOLE)
    parts = cut_classes(keep(value, classes % 3, labels, size=23), ignored, THRESHOLDS)
    for block in blocks(height=SIDE, width=SIDE, size=29):
        np.testing.assert_array_equal(parts(block), whole[block.slices])


def test_labels_that_are_gone_are_the_scenes_failure(tmp_path):
    with pytest.raises(SceneError, match="label the scene again"):
        thresholds_of(tmp_path)
