"""Large COGs: what comes out is what went in, for any pieces; a full disk is told although GDAL hides it."""

import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS
from rasterio.windows import Window
from rio_cogeo.cogeo import cog_validate

from labeling.errors import OutputError
from labeling.files.cogs.legend import class_legend
from labeling.grid import blocks
from labeling.maps.grids import MapGrid
from pipelines.products.grids.cog import Measure, write_cog

PAGE = 4096


def grid(height, width):
    return MapGrid(CRS.from_epsg(6932).to_wkt(), (10.0, 0.0, 0.0, 0.0, -10.0, 0.0), height, width)


def pieces(values, size):
    height, width = values.shape
    return ((each.window, values[each.slices]) for each in blocks(height=height, width=width, size=size))


@pytest.mark.parametrize(("height", "width", "size"), [(700, 1300, 300), (1, 5, 8), (513, 600, 1024)])
def test_what_goes_in_comes_out(tmp_path, height, width, size):
    values = np.random.default_rng(0).integers(0, 3, (height, width)).astype(np.uint8)
    file, legend = tmp_path / "one.tif", class_legend("polynya")
    write_cog(
        file, pieces(values, size), grid(height, width), "uint8",
        nodata=255, shows=legend,
    )  # fmt: skip
    assert cog_validate(file, strict=True) == (True, [], [])
    with rasterio.open(file) as raster:
        assert (raster.read(1) == values).all()
        assert (raster.crs.to_epsg(), raster.nodata, raster.descriptions[0]) == (6932, 255, "ice class")
    assert {path.name for path in tmp_path.iterdir()} == {"one.tif", "one.tif.aux.xml", "one.qml"}


@pytest.mark.parametrize(("height", "width", "size"), [(1500, 2100, 300), (3000, 257, 1024), (256, 256, 64)])
def test_overviews_are_each_second_pixel_of_what_lies_below(tmp_path, height, width, size):
    values = np.random.default_rng(0).integers(0, 3, (height, width)).astype(np.uint8)
    file = tmp_path / "one.tif"
    write_cog(file, pieces(values, size), grid(height, width), "uint8", nodata=255, shows=Measure("noise"))
    assert cog_validate(file, strict=True) == (True, [], [])
    with rasterio.open(file) as raster:
        steps = raster.overviews(1)
    assert len(steps) == max(0, int(np.ceil(np.log2(max(height, width) / 256))))
    for level in range(len(steps)):
        with rasterio.open(file, overview_level=level) as raster:
            np.testing.assert_array_equal(raster.read(1), values[:: 2 ** (level + 1), :: 2 ** (level + 1)])
    assert [path.name for path in tmp_path.iterdir()] == ["one.tif"]


def test_overviews_are_there_where_the_environment_forbids_to_look_beside_files(tmp_path):
    file = tmp_path / "one.tif"
    values = np.random.default_rng(0).integers(0, 7, (600, 600)).astype(np.uint8)
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"):  # as those who read from buckets have it
        write_cog(file, pieces(values, 300), grid(600, 600), "uint8", nodata=255, shows=Measure("noise"))
    with rasterio.open(file, overview_level=0) as raster:
        np.testing.assert_array_equal(raster.read(1), values[::2, ::2])


def test_what_no_piece_covers_has_no_value(tmp_path):
    file = tmp_path / "one.tif"
    some = [(Window(600, 100, 50, 60), np.full((60, 50), 1.5, np.float32))]
    write_cog(file, some, grid(1000, 900), "float32", nodata=float("nan"), shows=Measure("days"))
    with rasterio.open(file) as raster:
        found = raster.read(1)
    assert np.count_nonzero(~np.isnan(found)) == 3000
    assert (found[100:160, 600:650] == 1.5).all()


@pytest.mark.slow
def test_a_full_disk_is_told_at_every_step(disk):
    values = np.random.default_rng(0).integers(0, 256, (1500, 1500)).astype(np.uint8)
    whole = grid(1500, 1500)
    for leave in (2, 100, 500, 700, 1000):  # the plain file takes about 550 pages, and the other more
        disk.fill(leave * PAGE)
        with pytest.raises(OutputError, match="the disk is full"):
            write_cog(
                disk.root / "one.tif", pieces(values, 512), whole, "uint8", nodata=0, shows=Measure("noise")
            )
        assert {path.name for path in disk.root.iterdir()} == {"filler"}
        (disk.root / "filler").unlink()
