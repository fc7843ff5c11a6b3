"""Edges of fields whose contours are known, and errors of edges that were moved by a known area."""

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as some

from labeling.maps.edges import LEVELS, edge_error, edge_lines

CELL = 6250.0
GRID = Affine(CELL, 0, -1e6, 0, -CELL, 1e6)


def cone(shape=(160, 160), reach=450e3):
    """Concentration that falls in a straight line from 1 in the middle to 0 at `reach` metres from it."""
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    x, y = GRID.c + GRID.a * columns, GRID.f + GRID.e * rows
    away = np.hypot(x - (GRID.c + CELL * 80), y - (GRID.f - CELL * 80))
    return np.clip(1 - away / reach, 0, 1).astype(np.float32)


@pytest.mark.parametrize("level", LEVELS)
def test_the_edge_of_a_cone_is_a_circle(level):
    [line] = edge_lines(cone(), GRID, level)
    away = np.hypot(line[:, 0] - (GRID.c + CELL * 80), line[:, 1] - (GRID.f - CELL * 80))
    assert away == pytest.approx((1 - level) * 450e3, abs=0.02 * CELL)
    np.testing.assert_array_equal(line[0], line[-1])
    x, y = line.T
    assert 0.5 * np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) == pytest.approx(
        np.pi * ((1 - level) * 450e3) ** 2, rel=0.01
    )  # positive: the ice is on the left


def test_edges_end_where_nothing_is_known():
    field = cone()
    field[:, :80] = np.nan
    lines = edge_lines(field, GRID, 0.15)
    assert len(lines) == 1
    assert lines[0][:, 0].min() >= GRID.c + CELL * 80
    assert edge_lines(np.full((5, 5), np.nan, np.float32), GRID, 0.15) == []
    assert edge_lines(np.ones((5, 5), np.float32), GRID, 0.15) == []
    assert edge_lines(np.array([[0, 1]], np.float32), GRID, 0.15) == []


def test_an_edge_that_moved_is_wrong_by_the_area_it_passed():
    areas = np.linspace(30e6, 45e6, 40)[:, None] * np.ones((40, 50))
    field, reference = np.zeros((2, 40, 50), np.float32)
    field[:, :20], reference[:, :26] = 0.9, 0.9
    field[:3, 40:44] = 0.2
    error = edge_error(field, reference, areas)
    assert error.under == pytest.approx(areas[:, 20:26].sum())
    assert error.over == pytest.approx(areas[:3, 40:44].sum())
    assert error.total == pytest.approx(error.over + error.under)
    assert error.extent == pytest.approx(abs(areas[field >= 0.15].sum() - areas[reference >= 0.15].sum()))
    assert error.total == pytest.approx(error.extent + error.misplaced)  # Goessling et al. 2016
    assert error.compared == pytest.approx(areas.sum())


field = some.arrays(np.float32, (4, 6), elements=st.floats(0, 1, width=32) | st.just(np.nan))


@given(field, field)
def test_errors_are_symmetric_and_only_of_what_both_know(one, other):
    areas = np.arange(1.0, 25).reshape(4, 6)
    error, back = edge_error(one, other, areas), edge_error(other, one, areas)
    assert (error.over, error.under) == (back.under, back.over)
    assert error.total <= error.compared
    unknown = np.isnan(one) | np.isnan(other)
    assert error.compared == areas[~unknown].sum()
    assert edge_error(one, one, areas).total == 0
