"""Scenes that overlap show one surface where they do."""

import numpy as np
import pytest
import rasterio
from rasterio.windows import from_bounds

from labeling.simulation.neighbours import write_neighbours
from labeling.simulation.scene import SceneSpec

SPEC = SceneSpec(scene_id="near", height=200, width=160, seed=3)


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return write_neighbours(tmp_path_factory.mktemp("near"), SPEC)


def test_together_they_cover_the_surface_and_every_two_overlap(paths):
    boxes = []
    for path in paths:
        with rasterio.open(path) as raster:
            assert raster.shape == (120, 96)
            boxes.append(raster.bounds)
    west, south, east, north = (
        pick(box[side] for box in boxes) for side, pick in enumerate((min, min, max, max))
    )
    assert (east - west, north - south) == (1600, 2000)
    for one in boxes:
        for other in boxes:
            assert not rasterio.coords.disjoint_bounds(one, other)


def test_where_two_clear_ones_overlap_they_are_the_same(paths):
    with rasterio.open(paths[0]) as first, rasterio.open(paths[3]) as last:
        left = last.bounds.left
        both = (left, first.bounds.bottom, first.bounds.right, last.bounds.top)
        one, other = (raster.read(window=from_bounds(*both, raster.transform)) for raster in (first, last))
    assert one.size == other.size > 0
    np.testing.assert_array_equal(one, other)


def test_what_is_there_is_not_written_again(paths, monkeypatch):
    monkeypatch.setattr("labeling.simulation.neighbours.simulate", None)
    assert write_neighbours(paths[0].parent, SPEC) == paths
