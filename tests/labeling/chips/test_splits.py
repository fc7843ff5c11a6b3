import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.chips.splits import split_cells, split_groups

SHARES = {"val_share": 0.15, "test_share": 0.2}


@given(st.sets(st.text(min_size=1, max_size=5), min_size=3, max_size=40), st.integers(0, 99))
def test_groups_fill_every_split_whatever_their_order(groups, seed):
    splits = split_groups(sorted(groups), **SHARES, seed=seed)
    assert set(splits) == groups
    assert set(splits.values()) == {"train", "val", "test"}
    assert splits == split_groups(sorted(groups, reverse=True), **SHARES, seed=seed)


def test_shares_of_many_groups_are_about_those_asked_for():
    splits = list(split_groups([str(n) for n in range(200)], **SHARES, seed=1).values())
    assert splits.count("test") == 40
    assert splits.count("val") == 30


@given(st.integers(1, 14), st.integers(1, 14), st.integers(0, 2**32 - 1), st.floats(0, 0.6))
@settings(max_examples=80, deadline=None)
def test_splits_inside_a_scene_keep_a_chip_apart(rows, columns, seed, unusable):
    rng = np.random.default_rng(seed)
    usable = rng.random((rows, columns)) >= unusable
    splits = split_cells(rng.dirichlet([1, 1, 1], (rows, columns)), usable, **SHARES)
    assert (splits[~usable] == "").all()
    cells = {name: np.argwhere(splits == name) for name in ("train", "val", "test")}
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        for cell in cells[one]:
            if len(cells[other]):
                assert np.abs(cells[other] - cell).max(axis=1).min() >= 2
    if usable.any():
        assert len(cells["train"])


@pytest.mark.parametrize(
    ("rows", "columns", "everything"), [(4, 4, True), (8, 8, True), (12, 3, True), (2, 2, False)]
)
def test_scenes_large_enough_get_all_three(rows, columns, everything):
    usable = np.ones((rows, columns), bool)
    splits = split_cells(np.full((rows, columns, 3), 1 / 3), usable, **SHARES)
    assert ({"train", "val", "test"} <= set(splits.ravel())) == everything


def test_every_split_gets_its_share_of_the_rare_class():
    # Ice everywhere but in three corners: test and validation must not take all the water.
    fractions = np.zeros((8, 8, 3))
    fractions[..., 2] = 1
    for corner in (np.s_[:3, 5:], np.s_[5:, :3], np.s_[:3, :3]):
        fractions[corner] = 1 / 3
    splits = split_cells(fractions, np.ones((8, 8), bool), **SHARES)
    for name in ("train", "val", "test"):
        assert fractions[splits == name, 0].sum() > 1


def test_rectangles_avoid_corners_without_data():
    usable = np.ones((8, 8), bool)
    usable[4:, 4:] = False
    splits = split_cells(np.full((8, 8, 3), 1 / 3), usable, **SHARES)
    for name in ("test", "val"):
        cells = np.argwhere(splits == name)
        assert len(cells) == np.prod(np.ptp(cells, axis=0) + 1) >= 4  # a whole rectangle
