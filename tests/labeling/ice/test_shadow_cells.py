"""Regions of soft edges: the same for any cut, and only where the sky is."""

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
from labeling.ice.shadow_cells import NUMBERS, cells_of, decide, shadow_cells
from labeling.simulation.sky import Sky, expose, make_sky
from labeling.simulation.surface import Amounts, make_surface
from labeling.stages.steps import Recipe

POLYNYA, RAW = load_profile("polynya"), load_profile("iqrah-2024-raw")


def with_guard(guard):
    thin_clouds = POLYNYA.thin_clouds.model_copy(update={"guard": guard})
    return POLYNYA.model_copy(update={"thin_clouds": thin_clouds})


def with_cells_of(side):
    return with_guard(POLYNYA.thin_clouds.guard.model_copy(update={"cell": side}))


def counted(row, column, edges, soft, waiting=0):
    """A count with all waiting pixels at difference 7."""
    found = np.zeros(NUMBERS, np.int64)
    found[[0, 1, 2, 3, 4 + 7]] = row, column, edges, soft, waiting
    return found


@given(
    height=st.integers(1, 60), width=st.integers(1, 60),
    rows=st.integers(1, 70), columns=st.integers(1, 70), side=st.integers(1, 70),
)  # fmt: skip
def test_cells_of_blocks_cover_each_pixel_once_and_lie_on_one_grid(height, width, rows, columns, side):
    seen = np.zeros((height, width), int)
    for block in blocks(height=height, width=width, size=rows, columns=columns):
        for cell, part in cells_of(block, side):
            seen[block.slices][part] += 1
            y, x = np.mgrid[block.slices]
            assert (y[part] // side == cell.row).all()
            assert (x[part] // side == cell.column).all()
    assert (seen == 1).all()


def test_a_region_is_a_cell_with_its_neighbours():
    counts = [counted(row, column, 1000, 0, 5) for row in range(5) for column in range(6)]
    counts += [counted(1, 1, 500, 100)]  # another block's share of one cell
    found = shadow_cells(np.array(counts), GuardSettings(soft_share=0.01))
    expected = np.zeros((5, 6), bool)
    expected[:3, :3] = True
    np.testing.assert_array_equal(found.shadowed, expected)
    assert found.opened[7] == found.opened.sum() == 9 * 5
    assert found.soft_edges == pytest.approx(100 / 30500)


@pytest.mark.parametrize(
    ("edges", "soft", "shadowed"), [(20_000, 100, True), (20_001, 100, False), (1, 1, True), (0, 0, False)]
)
def test_a_share_of_the_edges_must_be_soft(edges, soft, shadowed):
    found = shadow_cells(np.array([counted(0, 0, edges, soft)]), GuardSettings(soft_share=0.005))
    assert found.shadowed.tolist() == [[shadowed]]


def test_a_scene_without_any_edge_has_no_soft_ones():
    assert shadow_cells(np.array([counted(0, 0, 0, 0)]), GuardSettings()).soft_edges == 0


def test_what_waits_outside_shadow_is_held_and_the_keys_given_stay():
    key = np.tile(np.array([40, 41, 42], np.uint8), (4, 2))
    found = decide(key, Block(2, 1, 4, 6), np.array([[False, True], [True, False]]), GuardSettings(cell=4))
    assert key[0].tolist() == [40, 41, 42, 40, 41, 42]
    assert found.tolist() == [[40, 42, 42, 40, 41, 42]] * 2 + [[40, 41, 42, 40, 42, 42]] * 2


GUARD = GuardSettings(cell=40, soft_span=16, soft_share=0.2, smooth_share=0)


@pytest.fixture(scope="module")
def patches():
    """A picture and the labels that the plain reference gives it: some cells are lifted and some held."""
    rgb = patchwork(150, 170, seed=1)
    rgb[60:, 120:] = 0  # counts as water: the reference knows no no-data
    labels, lenient, strict = (
        oracle.label_guarded(rgb, GUARD.model_copy(update=settings))
        for settings in ({}, {"soft_share": 0}, {"soft_share": 1})
    )
    assert (labels != lenient).any()
    assert (labels != strict).any()
    return planar(rgb), labels


@pytest.mark.parametrize("cut", [(50, 70), (96, 96), (20, 300), (400, 400)])
def test_any_cut_equals_the_plain_reference(patches, tmp_path, cut):
    rgb, expected = patches
    profile = with_guard(GUARD).model_copy(update={"nodata": "water"})
    found = label_cut(ArrayScene(rgb), cut, tmp_path, Recipe(profile))
    np.testing.assert_array_equal(found, expected)


def test_cloud_over_a_corner_is_seen_and_works_there_alone(tmp_path):
    side, sun = 900, 1.0
    surface = make_surface(
        np.random.default_rng(0), height=side, width=side, sun=sun, amounts=Amounts(0.55, 0.35)
    )
    sky = make_sky(np.random.default_rng(0), height=side, width=side, amount=0.9, sun=sun)
    ramp = np.clip((np.arange(side, dtype=np.float32) - 600) / 60, 0, 1)
    sky = Sky(*(layer * ramp * ramp[:, None] for layer in sky))
    rgb = expose(np.random.default_rng(9), surface.value, sky)
    raw, regional, scene_wide = (
        label_scene(rgb, None, profile) for profile in (RAW, with_cells_of(128), with_cells_of(side))
    )

    def accuracy(labels):
        return (labels == surface.classes)[600:, 600:].mean()

    assert accuracy(regional) > accuracy(raw) + 0.1
    assert accuracy(scene_wide) < accuracy(raw) + 0.01
    np.testing.assert_array_equal(regional[:384], scene_wide[:384])
    cut = whole(tmp_path, ArrayScene(rgb), Recipe(with_cells_of(128)), cut=(400, 300))
    np.testing.assert_array_equal(cut, regional)
    facts = json.loads((tmp_path / "labels/done.json").read_text())
    assert facts["filter_shadow"]
    assert facts["filter_shadow_area"] == 15 / 64
    assert 0 < facts["filter_soft_edges"] < POLYNYA.thin_clouds.guard.soft_share
