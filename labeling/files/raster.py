"""Atomic writes: georeferenced class rasters, pictures and JSON that appear whole or not at all."""

from __future__ import annotations

import errno
import json
import shutil
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.io import DatasetReader, DatasetWriter, MemoryFile
from rasterio.windows import Window

from labeling.classes import IGNORE, PALETTES, IceClass
from labeling.errors import OutputError
from labeling.files import s3
from labeling.files.storage import AnyPath
from labeling.files.uri import gdal_path

if TYPE_CHECKING:
    from labeling.files.bucket_path import BucketPath

TILE = 256
"""Side in pixels of a tile in every GeoTIFF we write."""

_WRITE_CACHE: Final = 32 << 20
"""Bytes that GDAL keeps of a raster while it is made: a row of tiles and more."""

PARTS: Final = ".*.part*"
"""Names of what `replacing` has not finished: a pattern. Killed processes leave such files."""

_NO_ROOM: Final = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk can only be read",
}


@contextmanager
def replacing(target: AnyPath) -> Iterator[Path]:
    """Yield a temporary path of this machine that becomes `target` when the block succeeds.

    It lies beside `target` and takes its name; a file for a bucket is sent there. On an error the temporary
    file or folder is removed and `target` is left as it was. The temporary name keeps the suffix, because
    GDAL and Keras choose the format by it. OutputError when the disk is full or takes nothing.
    """
    try:
        with _renamed(target) if isinstance(target, Path) else _uploaded(target) as temporary:
            yield temporary
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        place = target if isinstance(target, Path) else f"{gettempdir()}, where {target} is prepared,"
        raise OutputError(
            f"{_NO_ROOM[error.errno]}: {place} cannot be written. Make room there, or choose another "
            "folder, and run the same command again: what is finished stays."
        ) from error


@contextmanager
def _renamed(target: Path) -> Iterator[Path]:
    temporary = target.with_name(f".{target.stem}.{uuid4().hex[:8]}.part{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if temporary.is_dir() and target.is_dir():
            shutil.rmtree(target)
        temporary.replace(target)
    finally:
        with suppress(OSError):  # what went wrong first is what matters
            remove(temporary)


@contextmanager
def _uploaded(target: BucketPath) -> Iterator[Path]:
    with TemporaryDirectory(prefix="polynya-") as folder:
        temporary = Path(folder) / target.name
        yield temporary
        target.upload(temporary)


@contextmanager
def refilling(target: AnyPath, mark: str) -> Iterator[AnyPath]:
    """Yield a folder that many processes fill, and that is `target` when the block succeeds.

    As `replacing` on this machine. In a bucket, where no folder can be renamed, it is `target` itself,
    emptied: `mark` is the file without which a reader takes the folder for unfinished, the first to be
    removed, and to be written last.
    """
    if isinstance(target, Path):
        with replacing(target) as temporary:
            temporary.mkdir()
            yield temporary
        return
    remove(target / mark)
    remove(target)
    yield target


def remove(path: AnyPath) -> None:
    """Delete a file or folder if it is there.

    A folder that another process is still writing to may stay: a task that Spark has given up, say.
    """
    if not isinstance(path, Path):
        path.remove_all()
    elif path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def write_bytes(target: AnyPath, content: bytes | memoryview) -> None:
    """Write bytes, or the memory of a C-contiguous array, atomically."""
    if not isinstance(target, Path):
        target.write_bytes(content)
        return
    with replacing(target) as temporary:
        temporary.write_bytes(content)


def write_json(target: AnyPath, content: object) -> None:
    """Write `content` as indented JSON, atomically."""
    with replacing(target) as temporary:
        temporary.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


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
