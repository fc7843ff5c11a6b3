"""Pixels are taken from where they lie, whatever is read at a time."""

import numpy as np
import pytest
from affine import Affine
from map_factory import MapFactory
from rasterio.crs import CRS

import pipelines.products.grids.sampling as sampling
from labeling.errors import SceneError
from labeling.maps.grids import MapGrid
from pipelines.products.config import ProductsConfig
from pipelines.products.maps import find_maps
from pipelines.products.order import source_of


@pytest.fixture
def source(tmp_path):
    factory = MapFactory(tmp_path / "run")
    classes = np.random.default_rng(5).choice(np.array([0, 1, 2, 255], np.uint8), (300, 400))
    factory.add("one", classes, "EPSG:3031", Affine(10, 0, 0, 0, -10, 0), time="2019-11-03T20:00:00Z")
    run = factory.write()
    (found,), _ = find_maps(run, ProductsConfig(run=run.root))
    return classes, source_of(found, "newest")


@pytest.mark.parametrize("most", [1, 100, 5000, 1 << 24])
def test_how_much_is_read_at_a_time_changes_nothing(source, monkeypatch, most):
    """A coarse grid on a fine map: each pixel is that under the centre."""
    classes, one = source
    monkeypatch.setattr(sampling, "MOST_READ", most)
    grid = MapGrid(CRS.from_epsg(3031).to_wkt(), (70.0, 0.0, -140.0, 0.0, -70.0, 140.0), 48, 64)
    merged = sampling.merge(grid, grid.whole, [one], "newest")
    rows, columns = np.arange(48) * 7 + 3 - 14, np.arange(64) * 7 + 3 - 14
    inside = ((rows >= 0) & (rows < 300))[:, None] & (columns >= 0) & (columns < 400)
    expected = np.where(inside, classes[np.clip(rows, 0, 299)[:, None], np.clip(columns, 0, 399)], 255)
    assert (merged.codes == expected).all()
    assert (merged.source == (expected != 255)).all()


def test_a_map_of_another_shape_than_its_scene_is_refused(source):
    _, one = source
    wrong = one._replace(grid=one.grid._replace(height=299))
    grid = one.grid
    with pytest.raises(SceneError, match="300 rows"):
        sampling.merge(grid, grid.whole, [wrong], "newest")
