"""Opinions kept block by block and the cuts they move, without Spark."""

import numpy as np
import pytest
from array_scene import ArrayScene

from labeling.classes import IGNORE
from labeling.errors import SceneError
from labeling.files.layout import write_done
from labeling.grid import Block, blocks
from labeling.ice.moved_cuts import CELL
from labeling.ice.profile import GuardSettings, ThresholdSettings, load_profile
from labeling.stages.planes import MemoryPlanes
from pipelines.cuts_worker import Evidence, checked_map, evidence_of, is_clear, keep_opinion, profile_of

SIDE = 4 * CELL
WHOLE = Block(0, 0, SIDE, SIDE)
THRESHOLDS = ThresholdSettings()
EVERYWHERE = Evidence(THRESHOLDS, GuardSettings(cell=SIDE), np.ones((1, 1), np.float32))
NOWHERE = EVERYWHERE._replace(softness=np.zeros((1, 1), np.float32))
LEFT = Evidence(THRESHOLDS, GuardSettings(cell=CELL), np.float32([[1, 1, 0, 0]] * 4))
"""Where shadow is seen."""


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


def drawn(planes, ignored, evidence=EVERYWHERE):
    """Return the whole scene's map."""
    return checked_map(planes, [WHOLE], ignored, evidence, 0.05).classes(WHOLE)


def test_pixels_without_class_move_no_cut():
    value, nothing = halves(150, 160), np.zeros((SIDE, SIDE), np.bool_)
    thick, labels = np.full((SIDE, SIDE), 2), np.ones((SIDE, SIDE), np.uint8)
    planes = keep(value, thick, labels)
    assert (drawn(planes, nothing) == 2).all()
    assert (drawn(planes, ~nothing) == 1).all()
    some = halves(0, 1) == 1
    assert (drawn(planes, some)[:, : SIDE // 2] == 2).all()
    # The right half says that thick ice begins at 160; if it does not count, thin ice ends above it.
    planes = keep(value, halves(1, 2), labels)
    assert (drawn(planes, nothing)[:, -1] == 2).all()
    assert (drawn(planes, some) == 1).all()


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
    labels[rng.random((SIDE, SIDE)) < 0.1] = IGNORE
    small = list(blocks(height=SIDE, width=SIDE, size=23))
    evidence = LEFT._replace(softness=rng.integers(0, 2, LEFT.softness.shape).astype(np.float32))
    for share in (0, 1):  # of what contradicts at most
        whole = checked_map(keep(value, classes % 3, labels), [WHOLE], ignored, evidence, share)
        parts = checked_map(keep(value, classes % 3, labels, size=23), small, ignored, evidence, share)
        assert (whole.used, whole.facts, whole.doubts) == (parts.used, parts.facts, parts.doubts)
        assert whole.used == share
        for block in blocks(height=SIDE, width=SIDE, size=29):
            np.testing.assert_array_equal(parts.classes(block), whole.classes(WHOLE)[block.slices])


def test_where_nothing_speaks_for_shadow_the_labels_are_the_map():
    nothing = np.zeros((SIDE, SIDE), np.bool_)
    value, labels = halves(150, 100), np.ones((SIDE, SIDE), np.uint8)
    planes = keep(value, halves(2, 1), labels)
    found = checked_map(planes, [WHOLE], nothing, LEFT, 0.05)
    assert found.used
    assert found.doubts == []
    assert found.facts["network_asked"] == pytest.approx(0.5, abs=0.05)
    classes = found.classes(WHOLE)
    assert (classes[:, : SIDE // 2 - CELL] == 2).all()
    assert (classes[:, SIDE // 2 + CELL :] == 1).all()
    assert (drawn(planes, nothing, NOWHERE) == 1).all()
    labels[:, SIDE // 2 :] = IGNORE  # under a cloud mask labels say nothing, and the network is asked
    planes = keep(value, halves(1, 2), labels)
    assert (drawn(planes, nothing, NOWHERE)[:, SIDE // 2 + CELL :] == 2).all()


def test_a_network_that_contradicts_the_labels_is_not_used_and_that_is_told():
    nothing, labels = np.zeros((SIDE, SIDE), np.bool_), np.ones((SIDE, SIDE), np.uint8)
    planes = keep(np.full((SIDE, SIDE), 150), np.zeros((SIDE, SIDE), int), labels)
    found = checked_map(planes, [WHOLE], nothing, LEFT, 0.05)
    assert not found.used
    assert (found.classes(WHOLE) == 1).all()
    assert found.facts["network_contradicts"] == 1
    [doubt] = found.doubts
    assert doubt.code == "unfit-network"
    assert "contradicts the labels in 100.0% of the pixels where nothing speaks for shadow" in doubt.text
    assert (drawn(planes, halves(0, 1) == 1, LEFT)[:, :CELL] == 0).all(), "pixels without class do not count"


def test_a_scene_that_is_all_snow_in_shadow_to_the_network_is_told():
    nothing, labels = np.zeros((SIDE, SIDE), np.bool_), np.ones((SIDE, SIDE), np.uint8)
    planes = keep(np.full((SIDE, SIDE), 150), np.full((SIDE, SIDE), 2), labels)
    found = checked_map(planes, [WHOLE], nothing, NOWHERE, 0.05)
    assert found.used
    assert (found.classes(WHOLE) == 2).all()
    [doubt] = found.doubts
    assert doubt.code == "all-shadow"
    assert "thin ice for snow in shadow in 100% of such pixels" in doubt.text
    half = keep(np.full((SIDE, SIDE), 150), halves(1, 2), labels)
    some = checked_map(half, [WHOLE], nothing, NOWHERE, 0.05)
    assert [doubt.code for doubt in some.doubts] == ["unfit-network"]
    assert (some.classes(WHOLE) == 1).all()


def test_clear_is_what_has_no_soft_edge_and_some_thick_ice():
    assert is_clear(0.0, 0.02)
    assert not is_clear(0.0, 0.01)
    assert not is_clear(0.001, 0.5)


def test_labels_that_are_gone_are_the_scenes_failure(tmp_path):
    with pytest.raises(SceneError, match="label the scene again"):
        profile_of(tmp_path)
    info = ArrayScene(np.zeros((3, 4, 5), np.uint8)).info
    write_done(tmp_path, {"profile": load_profile("polynya-clear").model_dump()}, [])
    with pytest.raises(SceneError, match="label the scene with polynya"):
        evidence_of(tmp_path, info)
