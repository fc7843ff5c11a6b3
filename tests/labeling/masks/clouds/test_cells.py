"""Cells: equal to a plain expansion to 10 m pixels, bit for bit, however bands are cut and added up."""

import pickle
from itertools import pairwise

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from labeling.grid import Block
from labeling.masks.clouds.cells import ONE, CellGrid, CellSums, cell_sums, mean, merge


def plain_sums(values, valid, step, grid):
    """Sums and areas by expanding every native pixel to whole 10 m pixels."""
    counted = np.rint(np.where(valid, values, 0) * np.float32(ONE)).astype(np.int64)
    total, area = (
        np.repeat(np.repeat(layer, step, axis=0), step, axis=1)[: grid.height, : grid.width]
        for layer in (counted, valid.astype(np.int64))
    )
    cells = np.zeros((2, grid.rows, grid.columns), np.int64)
    for row in range(grid.rows):
        for column in range(grid.columns):
            part = Block(row * grid.side, column * grid.side, grid.side, grid.side).slices
            cells[:, row, column] = total[part].sum(), area[part].sum()
    return cells


def native(rng, height, width, step):
    """A band whose native pixels cover a scene, the last row and column perhaps beyond it."""
    shape = -(-height // step), -(-width // step)
    values = rng.uniform(-0.05, 1.4, shape).astype(np.float32)
    valid = rng.random(shape) > 0.2
    values[~valid] = np.nan
    return values, valid


def cuts(rng, length):
    """Borders of a random cut of 0..length."""
    inner = (
        rng.choice(np.arange(1, length), size=rng.integers(0, length), replace=False) if length > 1 else []
    )
    return [0, *sorted(inner), length]


@given(
    st.integers(1, 50),
    st.integers(1, 50),
    st.integers(1, 20),
    st.sampled_from([1, 2, 6]),
    st.integers(0, 2**32 - 1),
)
def test_any_cut_in_any_order_gives_the_plain_sums(height, width, side, step, seed):
    rng = np.random.default_rng(seed)
    grid = CellGrid(height, width, side)
    values, valid = native(rng, height, width, step)
    rows, columns = (cuts(rng, length) for length in values.shape)
    pieces = [
        Block(top, left, bottom - top, right - left)
        for top, bottom in pairwise(rows)
        for left, right in pairwise(columns)
    ]
    windows = [
        cell_sums(values[piece.slices], valid[piece.slices], piece, step, grid)
        for piece in (Block(*piece) for piece in rng.permutation(pieces).tolist())
    ]
    merged = merge(windows, grid)
    total, area = plain_sums(values, valid, step, grid)
    np.testing.assert_array_equal(merged.total, total)
    np.testing.assert_array_equal(merged.area, area)


def test_a_granule_has_a_cut_off_last_cell():
    grid = CellGrid(10980, 10980, 16)
    assert (grid.rows, grid.columns) == (687, 687)
    strip = np.full((170, 4), 0.25, np.float32)
    sums = cell_sums(strip, np.ones(strip.shape, bool), Block(1660, 0, 170, 4), 6, grid)
    assert (sums.row, sums.total.shape) == (622, (65, 2))
    # The scene ends 4 rows into the last cell, and 24 columns of 10 m reach 8 into the second.
    np.testing.assert_array_equal(sums.area[-1], [4 * 16, 4 * 8])
    np.testing.assert_array_equal(mean(sums), 0.25)


def test_the_mean_is_that_of_valid_pixels_and_nan_where_there_are_none():
    values = np.array([[0.1, 0.3, 9.0, 9.0], [np.nan, 0.5, 9.0, 9.0]], np.float32)
    valid = np.array([[1, 1, 0, 0], [0, 1, 0, 0]], bool)
    found = mean(cell_sums(values, valid, Block(0, 0, 2, 4), 1, CellGrid(2, 4, 2)))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[0.3, np.nan]], atol=1e-6)


def test_saturated_pixels_do_not_outweigh_a_cell_and_dark_water_stays_below_zero():
    values = np.full((4, 4), -0.02, np.float32)
    values[0, 0] = 6.5535
    found = mean(cell_sums(values, np.ones((4, 4), bool), Block(0, 0, 4, 4), 1, CellGrid(4, 4, 2)))
    np.testing.assert_allclose(found, [[(2 - 3 * 0.02) / 4, -0.02], [-0.02, -0.02]], atol=1e-6)


def test_sums_travel(tmp_path):
    values = np.full((3, 3), 0.5, np.float32)
    sums = cell_sums(values, values > 0, Block(2, 1, 3, 3), 2, CellGrid(12, 12, 4))
    np.savez(tmp_path / "sums.npz", **sums._asdict())
    with np.load(tmp_path / "sums.npz") as kept:
        again = CellSums(**kept)
    for copy in (again, pickle.loads(pickle.dumps(sums))):
        merged = merge([copy, sums], CellGrid(12, 12, 4))
        np.testing.assert_array_equal(merged.area, 2 * merge([sums], CellGrid(12, 12, 4)).area)
        assert merged.area.sum() == 2 * 9 * 4


def test_pixels_take_the_cell_they_lie_in():
    grid = CellGrid(5, 7, 3)
    cells = np.arange(6).reshape(2, 3)
    whole = np.repeat(np.repeat(cells, 3, axis=0), 3, axis=1)[:5, :7]
    np.testing.assert_array_equal(grid.pixels(cells, Block(0, 0, 5, 7)), whole)
    np.testing.assert_array_equal(grid.pixels(cells, Block(2, 1, 3, 5)), whole[2:5, 1:6])


def test_cells_lie_where_their_pixels_lie():
    pixels = Affine(10, 0, 399_960, 0, -10, 1_700_040)
    assert CellGrid(10980, 10980, 16).transform(pixels) == Affine(160, 0, 399_960, 0, -160, 1_700_040)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        CellGrid(10, 10, 0)
    with pytest.raises(ValueError, match="shape"):
        cell_sums(
            np.zeros((2, 2), np.float32), np.ones((2, 3), bool), Block(0, 0, 2, 2), 1, CellGrid(4, 4, 2)
        )
