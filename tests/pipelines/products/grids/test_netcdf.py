"""NetCDF files of concentration: a disk that is full is told, and leaves nothing."""

from datetime import UTC, datetime

import numpy as np
import pyproj
import pytest
import xarray as xr
from rasterio.crs import CRS

from labeling.errors import OutputError
from labeling.maps.fractions import Cells
from labeling.maps.grids import MapGrid
from pipelines.products.grids.netcdf import Slice, attributes_of, nothing, write_concentration

PAGE = 4096


def grid(epsg, side=3):
    return MapGrid(CRS.from_epsg(epsg).to_wkt(), (5000.0, 0.0, -5000.0, 0.0, -5000.0, 5000.0), side, side)


def noise(cells):
    rng = np.random.default_rng(cells)
    shares = [rng.random(cells) for _ in range(5)]
    return Cells(*shares, rng.integers(0, 99, cells), rng.integers(0, 64, cells).astype(np.uint8))


def write(path, on, slices, timed=True):
    about = attributes_of("maps", "a comment", "us", datetime(2026, 1, 1, tzinfo=UTC))
    write_concentration(path, on, iter(slices), timed=timed, attributes=about)


@pytest.mark.parametrize("epsg", [6931, 6932, 3413, 3031, 3976, 32701, 3857])
def test_every_system_opens_as_it_was(tmp_path, epsg):
    write(tmp_path / "a.nc", grid(epsg), [Slice(None, None, noise(9))], timed=False)
    with xr.open_dataset(tmp_path / "a.nc") as found:
        assert pyproj.CRS.from_cf(found.crs.attrs) == pyproj.CRS.from_epsg(epsg)
        assert found.xc.values.tolist() == [-2500, 2500, 7500]
        assert found.yc.values.tolist() == [2500, -2500, -7500]
        np.testing.assert_allclose(found.ice_conc.values.ravel(), noise(9).ice, rtol=1e-6)


def test_slices_keep_their_times(tmp_path):
    days = [datetime(2019, 11, day, tzinfo=UTC) for day in (3, 4, 9)]
    write(tmp_path / "a.nc", grid(6932), [Slice(day, day, nothing(9)) for day in days])
    with xr.open_dataset(tmp_path / "a.nc") as found:
        assert [str(time)[:10] for time in found.time.values] == ["2019-11-03", "2019-11-04", "2019-11-09"]
        assert np.isnan(found.ice_conc.values).all()
        assert (found.unclassified_fraction.values == 1).all()


@pytest.mark.slow
def test_a_full_disk_is_told(disk):
    on = grid(6932, side=200)
    for leave in (0, 2, 40, 200):
        disk.fill(leave * PAGE)
        with pytest.raises(OutputError, match="the disk is full"):
            write(disk.root / "a.nc", on, [Slice(None, None, noise(40_000))], timed=False)
        (disk.root / "filler").unlink()
        assert not list(disk.root.iterdir())
    write(disk.root / "a.nc", on, [Slice(None, None, noise(40_000))], timed=False)
