"""clouds.tif: both bands back as written, on the grid of cells, whole or not at all."""

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rio_cogeo.cogeo import cog_validate

from labeling.classes import IGNORE
from labeling.masks.clouds.cells import CellGrid
from labeling.masks.clouds.products import CloudClass
from labeling.masks.clouds.raster import COLOURS, write_clouds

PLACE = {"crs": CRS.from_epsg(32758), "transform": Affine(10, 0, 399_960, 0, -10, 1_700_040)}


@pytest.mark.parametrize("side", [16, 1])
def test_what_is_written_is_read_back_where_it_lies(tmp_path, side):
    grid = CellGrid(270, 300, side)
    rng = np.random.default_rng(0)
    probability = rng.random((grid.rows, grid.columns)).astype(np.float32)
    probability[0, 0] = np.nan
    classes = rng.choice([*CloudClass, IGNORE], probability.shape).astype(np.uint8)
    write_clouds(tmp_path / "clouds.tif", probability, classes, grid=grid, **PLACE)
    with rasterio.open(tmp_path / "clouds.tif") as raster:
        percent, codes = raster.read()
        assert raster.transform == Affine(10 * side, 0, 399_960, 0, -10 * side, 1_700_040)
        assert raster.crs == PLACE["crs"]
        assert raster.nodata == IGNORE
        assert raster.descriptions == ("cloud probability (%)", "cloud class")
        assert raster.compression.value == "DEFLATE"
        # The last row of cells ends beyond the scene.
        assert raster.bounds.bottom == 1_700_040 - 10 * side * grid.rows
        tags = raster.tags(2)
    assert cog_validate(tmp_path / "clouds.tif", strict=True)[0]
    np.testing.assert_array_equal(codes, classes)
    assert percent[0, 0] == IGNORE
    np.testing.assert_allclose(percent.ravel()[1:], 100 * probability.ravel()[1:], atol=0.5001)
    assert {kind: (tags[f"CLASS_{kind}"], tags[f"COLOUR_{kind}"]) for kind in CloudClass} == {
        kind: (kind.title, "#" + bytes(COLOURS[kind]).hex()) for kind in CloudClass
    }
    assert [path.name for path in tmp_path.iterdir()] == ["clouds.tif"]


def test_without_s2cloudless_and_without_georeference(tmp_path):
    classes = np.zeros((3, 4), np.uint8)
    write_clouds(tmp_path / "clouds.tif", None, classes, grid=CellGrid(48, 60, 16), crs=None, transform=None)
    with rasterio.open(tmp_path / "clouds.tif") as raster:
        np.testing.assert_array_equal(raster.read(1), IGNORE)
        np.testing.assert_array_equal(raster.read(2), classes)


def test_classes_of_another_grid_are_refused(tmp_path):
    with pytest.raises(ValueError, match="shape"):
        write_clouds(
            tmp_path / "clouds.tif", None, np.zeros((3, 3), np.uint8), grid=CellGrid(48, 60, 16), **PLACE
        )
    assert not list(tmp_path.iterdir())
