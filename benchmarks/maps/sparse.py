"""Times a mosaic's raster of which most is empty, against GDAL's own way to it over all blocks, in one run.

    .venv/bin/python -m benchmarks.maps.sparse --side 32768 --pieces 50

Pieces of 1024 pixels a side lie scattered over the grid. "Ours" is what jobs.products does
(pipelines/products/grids/cog.py); "GDAL's" is the same plain raster, sparse too, given to the COG driver,
which makes overviews of it. Seconds are those on the processor.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.windows import Window
from rich.console import Console
from rich.table import Table

from labeling.files.cogs.write import copy_cog, plain_profile
from labeling.maps.grids import MapGrid
from pipelines.products.grids.cog import Measure, write_cog

SIDE: Final = 1024
"""Pixels along a piece."""

Pieces = list[tuple[Window, NDArray[Any]]]


def ours(target: Path, pieces: Pieces, grid: MapGrid, dtype: str) -> None:
    """Write as jobs.products does."""
    write_cog(target, pieces, grid, dtype, nodata=255, shows=Measure("anything"))


def by_gdal(target: Path, pieces: Pieces, grid: MapGrid, dtype: str) -> None:
    """Write a plain raster, and let GDAL's driver do all else."""
    profile = plain_profile(
        dtype=dtype, count=1, height=grid.height, width=grid.width, crs=CRS.from_wkt(grid.crs),
        transform=grid.affine, nodata=255, SPARSE_OK=True,
    )  # fmt: skip
    plain = target.with_suffix(".plain.tif")
    with rasterio.Env(GDAL_CACHEMAX=64 << 20):
        with rasterio.open(plain, "w", **profile) as raster:
            for window, values in pieces:
                raster.write(values, 1, window=window)
        copy_cog(plain, target, SPARSE_OK="YES", STATISTICS="NO")


def timed(write: Callable[[Path, Pieces, MapGrid, str], None], *given: Any) -> float:
    """Return the seconds that it takes to write."""
    with TemporaryDirectory() as folder:
        began = time.process_time()
        write(Path(folder) / "one.tif", *given)
        return time.process_time() - began


def main() -> None:
    """Time and print."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--side", type=int, default=32768, help="pixels of the grid")
    options.add_argument("--pieces", type=int, default=50)
    given = options.parse_args()
    rng = np.random.default_rng(0)
    places = rng.integers(0, given.side // SIDE, (given.pieces, 2)) * SIDE
    grid = MapGrid(CRS.from_epsg(6932).to_wkt(), (10.0, 0.0, 0.0, 0.0, -10.0, 0.0), given.side, given.side)
    table = Table("type", "GDAL's, s", "ours, s", "ratio")
    for dtype in ("uint8", "float32"):
        pieces = [
            (Window(column, row, SIDE, SIDE), rng.integers(0, 3, (SIDE, SIDE)).astype(dtype))
            for row, column in places.tolist()
        ]
        theirs, own = (timed(write, pieces, grid, dtype) for write in (by_gdal, ours))
        table.add_row(dtype, f"{theirs:.2f}", f"{own:.2f}", f"{theirs / own:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
