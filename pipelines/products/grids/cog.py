"""Cloud-optimised GeoTIFFs from blocks that come one by one: one block and GDAL's cache are in memory.

GDAL's own driver puts the file together, from a plain one beside it. It tells nobody when one of its writes
finds the disk full, so what came out is counted again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError
from rasterio.io import DatasetWriter
from rasterio.windows import Window

from labeling.errors import OutputError
from labeling.files.atomic import remove, replacing
from labeling.files.cogs.legend import Legend
from labeling.files.cogs.names import write_names
from labeling.files.cogs.write import copy_cog, explain, plain_profile
from labeling.files.raster import TILE
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
        dtype=dtype, count=1, crs=rasterio.CRS.from_wkt(grid.crs), nodata=nodata, SPARSE_OK=True,
        height=grid.height, width=grid.width,
    )  # fmt: skip
    # A variable of the environment may forbid to look beside a file, where its overviews lie.
    settings = {"GDAL_CACHEMAX": _CACHE, "GDAL_DISABLE_READDIR_ON_OPEN": "FALSE"}
    with replacing(target) as temporary, rasterio.Env(**settings):
        plain = _plain_files(temporary, grid)
        try:
            with ExitStack() as stack:
                levels = [
                    stack.enter_context(rasterio.open(file, "w", **profile | _level(grid, 2**level)))
                    for level, file in enumerate(plain)
                ]
                if isinstance(shows, Legend):
                    explain(levels[0], shows)
                else:
                    levels[0].set_band_description(1, shows.name)
                    levels[0].update_tags(1, **(shows.tags or {}))
                written = [part for piece in pieces for part in _write(levels, *piece, nodata)]
            # Most of a mosaic can be empty. Statistics would be one more look at all of it.
            overviews = "FORCE_USE_EXISTING" if len(plain) > 1 else "NONE"
            copy_cog(plain[0], temporary, SPARSE_OK="YES", STATISTICS="NO", OVERVIEWS=overviews)
            lost = _lost(temporary, written, nodata)
        except (RasterioError, CPLE_BaseError) as error:
            raise OutputError(
                f"{target} cannot be written: {error}. If the disk is full, make room there, and run the "
                "same command again: what is finished stays."
            ) from None
        finally:
            for file in plain:
                remove(file)
        if lost:
            raise OutputError(
                f"{target} cannot be written ({lost} pixels that were written have another value in it): "
                "the disk is full, most likely. Make room there, and run the same command again: what is "
                "finished stays."
            )
    if isinstance(shows, Legend):
        write_names(target, shows)


class _Written(NamedTuple):
    """A piece at a level of overviews; 0 is the raster itself."""

    level: int
    window: Window
    valued: int
    """How many of its pixels have a value."""


def _plain_files(temporary: Path, grid: MapGrid) -> list[Path]:
    """Return where a raster and its overviews go at first: GDAL takes NAME.ovr for the overview of NAME.

    Overviews are written with their raster, from what is there: GDAL would go through all that is empty.
    """
    found = [temporary.with_suffix(".plain.tif")]
    while max(grid.height, grid.width) > TILE * 2 ** (len(found) - 1):
        found.append(found[-1].with_name(f"{found[-1].name}.ovr"))
    return found


def _level(grid: MapGrid, step: int) -> dict[str, Any]:
    """Return size and place of a raster of each `step`-th pixel, counted from the first."""
    scale = grid.affine @ Affine.scale(step)
    return {"height": -(-grid.height // step), "width": -(-grid.width // step), "transform": scale}


def _write(
    levels: list[DatasetWriter], window: Window, values: NDArray[Any], nodata: float
) -> Iterator[_Written]:
    """Write a piece, and what overviews show of it."""
    for level, raster in enumerate(levels):
        step = 2**level
        seen = values[-window.row_off % step :: step, -window.col_off % step :: step]
        if seen.size:
            top, left = -(-window.row_off // step), -(-window.col_off // step)
            part = Window(left, top, seen.shape[1], seen.shape[0])
            raster.write(seen, 1, window=part)
            yield _Written(level, part, _valued(seen, nodata))


def _lost(path: Path, written: list[_Written], nodata: float) -> int:
    """Return how many pixels more or less have a value than were written."""
    lost = 0
    for level in {each.level for each in written}:
        view = {"overview_level": level - 1} if level else {}
        with rasterio.open(path, **view) as raster:
            for each in written:
                if each.level == level:
                    lost += abs(_valued(raster.read(1, window=each.window), nodata) - each.valued)
    return lost


def _valued(values: NDArray[Any], nodata: float) -> int:
    return int(np.count_nonzero(~np.isnan(values) if np.isnan(nodata) else values != nodata))
