"""Which pieces of ground overlap: in one grid, in two zones; and splits that keep apart there."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer

from labeling.chips.apart import Survey, split_scenes
from labeling.chips.ground import Ground, covered, ground_of, joined, overlaps

SHARES = {"val_share": 0.15, "test_share": 0.2}


def square(x, y, size=100, crs="EPSG:3031", pixel=10):
    return Ground(crs, (pixel, 0, x, 0, -pixel, y), size, size)


def test_neighbours_that_touch_do_not_overlap():
    one = square(0, 0)
    assert overlaps([one], [square(1000, 0), square(0, -1000)]) == []
    assert overlaps([one], [square(990, 0), square(5000, 0), one]) == [(0, 0), (0, 2)]


def test_tiles_of_two_zones_overlap_where_the_ground_is_the_same():
    # The corner of a tile of zone 58, in the coordinates of zone 59.
    x, y = 600_000, 1_700_000
    there = Transformer.from_crs("EPSG:32758", "EPSG:32759", always_xy=True).transform(x, y)
    one = square(x - 5000, y + 5000, 1000, "EPSG:32758")
    assert overlaps([one], [square(there[0], there[1], 10, "EPSG:32759")]) == [(0, 0)]
    assert overlaps([one], [square(there[0] + 30_000, there[1], 10, "EPSG:32759")]) == []


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:32760", "EPSG:3413"])
def test_other_coordinate_systems_do_no_harm(crs):
    assert overlaps([square(0, -1_500_000)], [Ground(crs, (1e-4, 0, 100, 0, -1e-4, 40), 10, 10)]) == []


def test_a_scene_that_does_not_say_where_it_lies_has_no_ground():
    assert ground_of(None, [1.0, 0, 0, 0, -1, 0], height=1, width=1) is None
    assert ground_of("EPSG:3031", None, height=1, width=1) is None


def test_links_join():
    assert joined(5, [(0, 2), (4, 2)]) == [0, 1, 0, 3, 0]


def gaps(surveys, splits):
    """Return the least distance, in pixels of 10 m, of chips of two splits."""
    boxes = {name: [] for name in ("train", "val", "test")}
    for survey, cells in zip(surveys, splits, strict=True):
        for (row, column), name in np.ndenumerate(cells):
            if name:
                left, top = survey.ground.transform[2] / 10, -survey.ground.transform[5] / 10
                boxes[name].append((left + column * survey.size, top + row * survey.size))
    found = []
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        if boxes[one] and boxes[other]:
            apart = np.abs(np.array(boxes[one])[:, None] - np.array(boxes[other])[None]).max(axis=2)
            found.append(apart.min() - surveys[0].size)
    return found


@given(st.integers(0, 2**32 - 1), st.integers(2, 5), st.floats(0, 0.5))
@settings(max_examples=40, deadline=None)
def test_blocks_keep_a_chip_apart_across_scenes(seed, count, unusable):
    rng = np.random.default_rng(seed)
    surveys = []
    for _ in range(count):
        rows, columns = rng.integers(3, 12, 2)
        x, y = rng.integers(-3000, 3000, 2).tolist()
        ground = Ground("EPSG:3031", (10, 0, 10 * (x // 10), 0, -10, 10 * (y // 10)), rows * 32, columns * 32)
        usable = rng.random((rows, columns)) >= unusable
        surveys.append(Survey(ground, 32, rng.dirichlet([1, 1, 1], (rows, columns)), usable))
    splits = split_scenes(surveys, **SHARES)
    assert all(gap >= 32 for gap in gaps(surveys, splits))
    assert all((cells[~each.usable] == "").all() for each, cells in zip(surveys, splits, strict=True))


def test_scenes_of_one_tile_give_the_same_places_to_a_split():
    even = np.full((8, 8, 3), 1 / 3)
    surveys = [Survey(square(0, 0, 256), 32, even, np.ones((8, 8), bool)) for _ in range(3)]
    first, *others = split_scenes(surveys, **SHARES)
    assert {"train", "val", "test"} <= set(first.ravel())
    for other in others:
        np.testing.assert_array_equal(other, first)


def test_the_same_piece_is_looked_up_once_and_told_of_each():
    assert covered([square(0, 0), square(5000, 0), square(0, 0)], [square(10, 10)]).tolist() == [
        True, False, True,
    ]  # fmt: skip
