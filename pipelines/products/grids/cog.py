"""Cloud-optimised GeoTIFFs from blocks that come one by one: one block and GDAL's cache are in memory.

GDAL's own driver puts the file together, from a plain one beside it. It tells nobody when one of its writes
finds the disk full, so what came out is counted again.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError
from rasterio.windows import Window

from labeling.errors import OutputError
from labeling.files.atomic import remove, replacing
from labeling.files.cogs.legend import Legend
from labeling.files.cogs.names import write_names
from labeling.files.cogs.write import copy_cog, explain, plain_profile
from labeling.files.raster import open_raster
from labeling.files.storage import AnyPath
from labeling.maps.grids import MapGrid

_CACHE: Final = 64 << 20
"""Bytes that GDAL keeps of a raster: a row of tiles of a wide one."""


class Measure(NamedTuple):
    """What a raster shows that is no code."""

    name: str
    tags: dict[str, str] | None = None
    """Of its band."""


def write_cog(
    target: AnyPath,
    pieces: Iterable[tuple[Window, NDArray[Any]]],
    grid: MapGrid,
    dtype: str,
    *,
    nodata: float,
    shows: Legend | Measure,
) -> None:
    """Write a raster of one band from pieces, (window, values of its shape), as a COG; atomically.

    What no piece covers is `nodata`. Overviews take the nearest pixel, so they hold real values. What it
    `shows` is said in it, and a legend is written beside it. OutputError when the disk is full.
    """
    profile = plain_profile(
        dtype=dtype, count=1, height=grid.height, width=grid.width, crs=rasterio.CRS.from_wkt(grid.crs),
        transform=grid.affine, nodata=nodata, SPARSE_OK=True,
    )  # fmt: skip
    with replacing(target) as temporary, rasterio.Env(GDAL_CACHEMAX=_CACHE):
        plain = temporary.with_suffix(".plain.tif")
        try:
            with rasterio.open(plain, "w", **profile) as raster:
                if isinstance(shows, Legend):
                    explain(raster, shows)
                else:
                    raster.set_band_description(1, shows.name)
                    raster.update_tags(1, **(shows.tags or {}))
                written = [_write(raster, window, values, nodata) for window, values in pieces]
            # Most of a mosaic can be empty. Statistics would be one more look at all of it.
            copy_cog(plain, temporary, SPARSE_OK="YES", STATISTICS="NO")
            lost = _lost(temporary, written, nodata)
        except (RasterioError, CPLE_BaseError) as error:
            raise OutputError(_full(target, str(error))) from None
        finally:
            remove(plain)
        if lost:
            raise OutputError(_full(target, f"{lost} pixels that were written have another value in it"))
    if isinstance(shows, Legend):
        write_names(target, shows)


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
