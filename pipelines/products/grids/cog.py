"""Cloud-optimised GeoTIFFs from blocks that come one by one: one block and GDAL's cache are in memory.

GDAL's own driver puts the file together, from a plain one beside it. It tells nobody when one of its writes
finds the disk full, so what came out is counted again.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError
from rasterio.windows import Window

from labeling.errors import OutputError
from labeling.files.atomic import remove, replacing
from labeling.files.cogs.legend import Legend
from labeling.files.cogs.names import write_names
from labeling.files.raster import TILE, open_raster
from labeling.files.storage import AnyPath
from labeling.maps.grids import MapGrid

_CACHE: Final = 64 << 20
"""Bytes that GDAL keeps of a raster: a row of tiles of a wide one."""


def write_cog(
    target: AnyPath,
    pieces: Iterable[tuple[Window, NDArray[Any]]],
    grid: MapGrid,
    dtype: str,
    *,
    nodata: float,
    description: str,
    tags: dict[str, str] | None = None,
    legend: Legend | None = None,
) -> None:
    """Write a raster of one band from pieces, (window, values of its shape), as a COG; atomically.

    What no piece covers is `nodata`. Overviews take the nearest pixel, so they hold real values. `tags` are
    the band's, and a `legend` gives its codes colours here and names beside it. OutputError when the disk is
    full.
    """
    profile = {
        "driver": "GTiff", "dtype": dtype, "count": 1, "height": grid.height, "width": grid.width,
        "crs": rasterio.CRS.from_wkt(grid.crs), "transform": grid.affine, "nodata": nodata,
        "compress": "deflate", "tiled": True, "blockxsize": TILE, "blockysize": TILE,
        "BIGTIFF": "IF_SAFER", "SPARSE_OK": True,
    }  # fmt: skip
    with replacing(target) as temporary, rasterio.Env(GDAL_CACHEMAX=_CACHE):
        plain = temporary.with_suffix(".plain.tif")
        try:
            with rasterio.open(plain, "w", **profile) as raster:
                raster.set_band_description(1, description)
                raster.update_tags(1, **(tags or {}))
                if legend is not None:
                    raster.write_colormap(1, {each.code: (*each.colour, 255) for each in legend.entries})
                written = [_write(raster, window, values, nodata) for window, values in pieces]
            options: dict[str, Any] = {
                "compress": "deflate",
                "blocksize": TILE,
                "overview_resampling": "nearest",
            }
            options |= {"BIGTIFF": "IF_SAFER", "SPARSE_OK": "YES"}  # most of a mosaic can be empty
            rasterio.shutil.copy(plain, temporary, driver="COG", **options)
            lost = _lost(temporary, written, nodata)
        except (RasterioError, CPLE_BaseError) as error:
            raise OutputError(_full(target, str(error))) from None
        finally:
            remove(plain)
        if lost:
            raise OutputError(_full(target, f"{lost} pixels that were written have another value in it"))
    if legend is not None:
        write_names(target, legend)


def _write(raster: Any, window: Window, values: NDArray[Any], nodata: float) -> tuple[Window, int]:
    """Write a piece; return where, and how many of its pixels have a value."""
    raster.write(values, 1, window=window)
    return window, _valued(values, nodata)


def _lost(path: Path, written: list[tuple[Window, int]], nodata: float) -> int:
    """Return how many pixels more or less have a value than were written."""
    with open_raster(path) as raster:
        return sum(abs(_valued(raster.read(1, window=window), nodata) - count) for window, count in written)


def _valued(values: NDArray[Any], nodata: float) -> int:
    return int(np.count_nonzero(~np.isnan(values) if np.isnan(nodata) else values != nodata))


def _full(target: AnyPath, reason: str) -> str:
    return (
        f"{target} cannot be written ({reason}): the disk is full, most likely. Make room there, and run the "
        "same command again: what is finished stays."
    )
