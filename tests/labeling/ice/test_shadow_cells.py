"""Regions that speak for shadow: the same for any cut, only where the sky is, and without a grid."""

import json

import numpy as np
import oracle
import pytest
from array_scene import ArrayScene
from conftest import patchwork, planar
from hypothesis import given
from hypothesis import strategies as st
from stage_runs import label_cut, whole

from labeling.grid import Block, blocks
from labeling.ice.label import label_scene
from labeling.ice.profile import GuardSettings, load_profile
from labeling.ice.shadow_cells import (
    COUNTS,
    NUMBERS,
    ShadowCells,
    around,
    count_cells,
    features,
    hold_closed,
    load_weights,
    shadow_cells,
)
from labeling.simulation.sky import Sky, expose, make_sky
from labeling.simulation.surface import Amounts, make_surface
from labeling.stages.steps import Recipe

POLYNYA, RAW = load_profile("polynya"), load_profile("iqrah-2024-raw")


def with_guard(guard):
    thin_clouds = POLYNYA.thin_clouds.model_copy(update={"guard": guard})
    return POLYNYA.model_copy(update={"thin_clouds": thin_clouds})


@given(
    height=st.integers(1, 60), width=st.integers(1, 60), rows=st.integers(1, 70), columns=st.integers(1, 70),
    side=st.integers(1, 70), seed=st.integers(0, 9),
)  # fmt: skip
def test_cells_of_blocks_add_up_to_those_of_the_scene(height, width, rows, columns, side, seed):
    rng = np.random.default_rng(seed)
    seen = (rng.integers(0, 11, (height, width)) + 16 * rng.integers(0, 6, (height, width))).astype(np.uint8)
    state = rng.integers(0, 7, (height, width)).astype(np.uint8)
    guard = GuardSettings(cell=side)
    total = np.zeros((-(-height // side), -(-width // side), COUNTS), np.int64)
    for block in blocks(height=height, width=width, size=rows, columns=columns):
        for row in count_cells(seen[block.slices], state[block.slices], block, guard):
            total[row[0], row[1]] += row[2:]
    expected = np.zeros_like(total)
    for y in range(height):
        for x in range(width):
            cell = expected[y // side, x // side]
            if state[y, x] in (1, 2):
                cell[0] += 1
            elif state[y, x] in (0, 3):
                cell[seen[y, x] % 16] += 1
                cell[11 + seen[y, x] // 16] += 1
    np.testing.assert_array_equal(total, expected)


@given(rows=st.integers(1, 9), columns=st.integers(1, 9), side=st.sampled_from([0, 1, 3, 7, 15]))
def test_surroundings_end_at_the_scene(rows, columns, side):
    grid = np.random.default_rng(rows * columns).integers(0, 9, (rows, columns, 2))
    found = around(grid, side)
    reach = side // 2 if side else 99
    for row in range(rows):
        for column in range(columns):
            part = grid[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1]
            np.testing.assert_array_equal(found[row, column], part.sum(axis=(0, 1)))


def counted(rows, columns, **values):
    """Counts of a scene whose cells are all alike: edges by softness, and pixels by sort."""
    found = np.zeros((rows * columns, NUMBERS), np.int64)
    found[:, :2] = np.argwhere(np.ones((rows, columns)))
    for name, value in values.items():
        found[:, 2 + int(name[1:])] = value
    return found


def test_every_feature_has_a_weight_and_no_weight_is_left():
    names = features(np.zeros((1, 1, COUNTS), np.int64)).keys()
    assert load_weights("regions-v1").keys() == set(names) | {"bias"}


def test_without_soft_edges_nothing_speaks_for_shadow():
    weights = dict.fromkeys(load_weights("regions-v1"), 0.0) | {"bias": 2.0}
    guard = GuardSettings(soft_share=0.01)
    sharp = shadow_cells(counted(3, 4, _12=1000, _15=10), guard, weights)  # 10 of 1010 are soft
    soft = shadow_cells(counted(3, 4, _12=1000, _15=11), guard, weights)
    assert (sharp.evidence == -3).all()
    assert (soft.evidence == 2).all()
    assert soft.soft_edges == pytest.approx(11 / 1011)
    # Where there is no edge at all nobody can know: a scene of smooth grey, thin ice or shadow.
    assert (shadow_cells(counted(2, 2), guard, weights).evidence == -3).all()


def test_a_region_reaches_seven_cells():
    counts = counted(1, 20, _12=100)
    counts[0, 2 + 15] = 500
    weights = dict.fromkeys(load_weights("regions-v1"), 0.0) | {"bias": 1.0}
    found = shadow_cells(counts, GuardSettings(soft_share=0.01), weights)
    assert (found.evidence[0] > 0).tolist() == [True] * 8 + [False] * 12


def test_evidence_is_interpolated_between_the_middles_of_cells():
    cells = ShadowCells(np.float32([[3, -1], [-3, -3]]), np.zeros((2, 2), np.float32), 0.0, 0.0)
    guard = GuardSettings(cell=8)
    waiting = np.full((16, 16), 201, np.uint8)
    whole_scene = hold_closed(waiting, Block(0, 0, 16, 16), cells, guard)
    held = np.array([[oracle.between(cells.evidence, y, x, 8) <= 0 for x in range(16)] for y in range(16)])
    np.testing.assert_array_equal(whole_scene, 201 + held)
    assert (waiting == 201).all()
    for block in blocks(height=16, width=16, size=5, columns=7):
        found = hold_closed(waiting[block.slices], block, cells, guard)
        np.testing.assert_array_equal(found, whole_scene[block.slices])
    free = hold_closed(np.full((16, 16), 200, np.uint8), Block(0, 0, 16, 16), cells, guard)
    assert (free == 200).all()
    assert not held[:6, :6].any()
    assert held[:, 15].all()


GUARD = GuardSettings(cell=40, spans=(120, 90, 60, 30), soft_share=0.01)


@pytest.fixture(scope="module")
def patches():
    """A picture and the labels that the plain reference gives it: some places are lifted and some held."""
    rgb = patchwork(150, 170, seed=1)
    rgb[60:, 120:] = 12
    labels, never = (
        oracle.label_guarded(rgb, GUARD.model_copy(update=settings)) for settings in ({}, {"soft_share": 1})
    )
    assert (labels != never).any()
    return planar(rgb), labels


@pytest.mark.parametrize("cut", [(50, 70), (96, 96), (20, 300), (400, 400)])
def test_any_cut_equals_the_plain_reference(patches, tmp_path, cut):
    rgb, expected = patches
    profile = with_guard(GUARD).model_copy(update={"nodata": "water"})
    found = label_cut(ArrayScene(rgb), cut, tmp_path, Recipe(profile))
    np.testing.assert_array_equal(found, expected)


def test_cloud_over_a_corner_is_seen_and_works_there_alone(tmp_path):
    side, sun = 1400, 1.0
    surface = make_surface(
        np.random.default_rng(0), height=side, width=side, sun=sun, amounts=Amounts(0.75, 0.18)
    )
    sky = make_sky(np.random.default_rng(0), height=side, width=side, amount=0.9, sun=sun)
    ramp = np.clip((np.arange(side, dtype=np.float32) - 1000) / 60, 0, 1)
    sky = Sky(*(layer * ramp * ramp[:, None] for layer in sky))
    rgb = expose(np.random.default_rng(9), surface.value, sky)
    raw, guarded = (label_scene(rgb, None, profile) for profile in (RAW, POLYNYA))

    def accuracy(labels, part):
        return (labels == surface.classes)[part].mean()

    covered, clear = np.s_[1040:, 1040:], np.s_[:400, :400]
    assert accuracy(guarded, covered) > accuracy(raw, covered) + 0.1
    np.testing.assert_array_equal(guarded[clear], raw[clear])
    cut = whole(tmp_path, ArrayScene(rgb), Recipe(POLYNYA), cut=(400, 300))
    np.testing.assert_array_equal(cut, guarded)
    facts = json.loads((tmp_path / "labels/done.json").read_text())
    assert facts["filter_shadow"]
    assert 0 < facts["filter_shadow_area"] < 0.6
