"""Atomic writes: georeferenced class rasters, pictures and JSON that appear whole or not at all."""

from __future__ import annotations

import errno
import json
import shutil
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.io import DatasetWriter, MemoryFile
from rasterio.windows import Window

from labeling.classes import IGNORE, PALETTES, IceClass
from labeling.errors import OutputError

TILE = 256
"""Side in pixels of a tile in every GeoTIFF we write."""


PARTS: Final = ".*.part*"
"""Names of what `replacing` has not finished: a pattern. Killed processes leave such files."""

_NO_ROOM: Final = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk can only be read",
}


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target` that takes its name when the block succeeds.

    On an error the temporary file or folder is removed and `target` is left as it was. The temporary
    name keeps the suffix, because GDAL and Keras choose the format by it. OutputError when the disk is
    full or takes nothing.
    """
    temporary = target.with_name(f".{target.stem}.{uuid4().hex[:8]}.part{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if temporary.is_dir() and target.is_dir():
            shutil.rmtree(target)
        temporary.replace(target)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise OutputError(
            f"{_NO_ROOM[error.errno]}: {target} cannot be written. Make room there, or choose another "
            "folder, and run the same command again: what is finished stays."
        ) from error
    finally:
        with suppress(OSError):  # what went wrong first is what matters
            remove(temporary)


def remove(path: Path) -> None:
    """Delete a file or folder if it is there.

    A folder that another process is still writing to may stay: a task that Spark has given up, say.
    """
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def write_bytes(target: Path, content: bytes | memoryview) -> None:
    """Write bytes, or the memory of a C-contiguous array, atomically."""
    with replacing(target) as temporary:
        temporary.write_bytes(content)


def write_json(target: Path, content: object) -> None:
    """Write `content` as indented JSON, atomically."""
    with replacing(target) as temporary:
        temporary.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def write_class_raster(
    target: Path,
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
        rasterio.Env(GDAL_NUM_THREADS=threads),  # for the overviews
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
def new_raster(target: Path, **profile: Any) -> Iterator[DatasetWriter]:
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
