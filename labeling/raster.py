"""Atomic writes: georeferenced class rasters, pictures and JSON that appear whole or not at all."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.windows import Window

from labeling.classes import IGNORE, PALETTES, IceClass

TILE = 256
"""Side in pixels of a tile in every GeoTIFF we write."""


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target` that takes its name when the block succeeds.

    On an error the temporary file or folder is removed and `target` is left as it was. The temporary
    name keeps the suffix, because GDAL and Keras choose the format by it.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.stem}.{uuid4().hex[:8]}.part{target.suffix}")
    try:
        yield temporary
        if temporary.is_dir() and target.is_dir():
            shutil.rmtree(target)
        temporary.replace(target)
    finally:
        remove(temporary)


def remove(path: Path) -> None:
    """Delete a file or folder if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


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
        "crs": crs, "nodata": IGNORE, "compress": "deflate", "BIGTIFF": "IF_SAFER",
        "NUM_THREADS": threads,
    }  # fmt: skip
    if transform is not None:
        profile["transform"] = transform
    if min(height, width) >= TILE:
        profile |= {"tiled": True, "blockxsize": TILE, "blockysize": TILE}
    with (
        replacing(target) as temporary,
        quiet_georeference(),
        rasterio.Env(GDAL_NUM_THREADS=threads),  # for the overviews
        rasterio.open(temporary, "w", **profile) as raster,
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
