"""Rasters: opened here or in a bucket; class rasters written with georeference, colours and overviews."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.io import DatasetReader, DatasetWriter, MemoryFile
from rasterio.windows import Window

from labeling.classes import IGNORE, PALETTES, IceClass
from labeling.errors import SceneError
from labeling.files import s3
from labeling.files.atomic import write_bytes
from labeling.files.storage import AnyPath
from labeling.files.uri import gdal_path

TILE = 256
"""Side in pixels of a tile in every GeoTIFF we write."""

_CODES: Final = np.isin(np.arange(256), [*IceClass, IGNORE])
"""Which of the values of a byte are codes of classes."""

_WRITE_CACHE: Final = 32 << 20
"""Bytes that GDAL keeps of a raster while it is made: a row of tiles and more."""


@contextmanager
def open_raster(path: AnyPath, driver: str | None = None) -> Iterator[DatasetReader]:
    """Open a raster for reading, here or in a bucket, as a certain format or any."""
    options = {} if isinstance(path, Path) else s3.gdal_options()
    with (
        rasterio.Env(**options),
        quiet_georeference(),
        rasterio.open(gdal_path(str(path)), driver=driver) as raster,
    ):
        yield raster


def check_shape(raster: DatasetReader, *, height: int, width: int) -> None:
    """Raise SceneError unless an open raster has the size of its scene."""
    if raster.shape != (height, width):
        raise SceneError(
            f"{raster.name} has {raster.height} rows x {raster.width} columns, and its scene has {height} x "
            f"{width}: it is of another scene, or was changed. Remove it, and run the job that made it again."
        )


def read_codes(raster: DatasetReader, window: Window | None = None) -> NDArray[np.uint8]:
    """Return class codes of an open raster, u8 (height, width): IceClass or IGNORE.

    SceneError where its first band holds anything else: then it is no raster of classes.
    """
    codes = np.asarray(raster.read(1, window=window))
    if codes.dtype != np.uint8 or not _CODES[codes].all():
        held = np.unique(codes)
        others = ", ".join(str(code) for code in held[~np.isin(held, np.flatnonzero(_CODES))][:4])
        raise SceneError(
            f"{raster.name} holds {codes.dtype} values such as {others or held[0]}, and classes are the "
            f"codes 0, 1, 2 and {IGNORE} in 8 bits: it is no raster of classes. Make it again."
        )
    return codes


def write_class_raster(
    target: AnyPath,
    blocks: Iterable[tuple[Window, NDArray[np.uint8]]],
    *,
    height: int,
    width: int,
    crs: CRS | None,
    transform: Affine | None,
    palette: str = "polynya",
    threads: int = 1,
) -> None:
    """Write class codes (u8, IGNORE = no-data) as a tiled GeoTIFF with colour table, names and overviews.

    `blocks` yields (window, codes of shape (window.height, window.width)) and must cover the raster once.
    `crs` and `transform` are None for a picture without georeference. `threads` compress it. The file
    appears whole or not at all.
    """
    profile: dict[str, Any] = {
        "driver": "GTiff", "dtype": "uint8", "count": 1, "height": height, "width": width,
        "crs": crs, "nodata": IGNORE, "compress": "deflate", "ZLEVEL": 1, "BIGTIFF": "IF_SAFER",
        "NUM_THREADS": threads,
    }  # fmt: skip
    if transform is not None:
        profile["transform"] = transform
    if min(height, width) >= TILE:
        profile |= {"tiled": True, "blockxsize": TILE, "blockysize": TILE}
    with (
        # Threads for the overviews; and what is written is seen no more, so GDAL need not keep it.
        rasterio.Env(GDAL_NUM_THREADS=threads, GDAL_CACHEMAX=_WRITE_CACHE),
        new_raster(target, **profile) as raster,
    ):
        raster.write_colormap(1, {code: (*rgb, 255) for code, rgb in PALETTES[palette].items()})
        raster.set_band_description(1, "ice class")
        raster.update_tags(1, **{f"CLASS_{c.value}": c.title for c in IceClass})
        for window, codes in blocks:
            raster.write(codes, 1, window=window)
        levels = overview_levels(height, width)
        if levels:
            # A mode of classes would blur leads away differently at each level; nearest keeps real codes.
            raster.build_overviews(levels, Resampling.nearest)


@contextmanager
def new_raster(target: AnyPath, **profile: Any) -> Iterator[DatasetWriter]:
    """Yield a raster of rasterio's `profile` to write; it appears as `target` when the block succeeds.

    It is made in memory, compressed as the profile says: GDAL tells nobody when one of its threads, or
    closing the file, finds the disk full. OutputError then.
    """
    with MemoryFile() as memory:
        with quiet_georeference(), memory.open(**profile) as raster:
            yield raster
        write_bytes(target, memory.getbuffer())


def overview_levels(height: int, width: int) -> list[int]:
    """Return powers of two that shrink the longer side to about one tile; empty for a small raster."""
    levels = []
    factor = 2
    while max(height, width) > TILE * factor // 2:
        levels.append(factor)
        factor *= 2
    return levels


@contextmanager
def quiet_georeference() -> Iterator[None]:
    """Silence rasterio's warning about pictures without georeference: they are a supported input."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        yield
