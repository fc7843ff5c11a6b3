"""Rasters as cloud-optimized GeoTIFFs, the same bytes however they are cut and by how many threads.

Blocks come in any order, and GDAL puts them where there is room: so they are collected in a tiled GeoTIFF in
memory, and GDAL's COG driver writes from it what appears on the disk, overviews and statistics included.
Nothing is changed after that: a later tag would move to the end of the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import rasterio
import rasterio.shutil
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.io import DatasetReader, DatasetWriter, MemoryFile
from rasterio.windows import Window

from labeling.files.atomic import write_bytes
from labeling.files.cogs.legend import Legend
from labeling.files.raster import TILE, quiet_georeference
from labeling.files.storage import AnyPath

_CACHE: Final = 32 << 20
"""Bytes that GDAL keeps of a raster while it is made: a row of tiles and more."""

_ENV: Final[dict[str, Any]] = {
    "GDAL_CACHEMAX": _CACHE,  # what is written is seen no more
    # Overviews wait for the rest of the COG. GDAL would pack them with ZSTD, which takes as long as all else.
    # Not packed at all they would be other bytes beyond the edge, in tiles that reach over it.
    "COG_TMP_COMPRESSION": "PACKBITS",
}

_COG: Final = {
    "driver": "COG", "COMPRESS": "DEFLATE", "LEVEL": 1, "BLOCKSIZE": TILE, "BIGTIFF": "IF_SAFER",
    "STATISTICS": "YES", "ADD_ALPHA": "NO", "OVERVIEW_RESAMPLING": "NEAREST",
}  # fmt: skip

Resampling = Literal["NEAREST", "AVERAGE"]


@contextmanager
def new_cog(
    target: AnyPath,
    *,
    height: int,
    width: int,
    crs: CRS | None,
    transform: Affine | None,
    resampling: Resampling = "NEAREST",
    predictor: bool = False,
    threads: int = 1,
    **profile: Any,
) -> Iterator[DatasetWriter]:
    """Yield a raster to write; it appears as `target`, a COG, when the block succeeds.

    `crs` and `transform` are None for a picture without georeference. `profile` has count, dtype and nodata
    as rasterio names them; `resampling` makes the overviews: NEAREST keeps codes real. `threads` compress. It
    is made in memory, compressed: GDAL tells nobody when one of its threads, or closing the file, finds the
    disk full. OutputError then.
    """
    profile |= {"height": height, "width": width, "crs": crs, "NUM_THREADS": threads}
    if transform is not None:
        profile["transform"] = transform
    options: dict[str, Any] = {"NUM_THREADS": threads, "OVERVIEW_RESAMPLING": resampling}
    options |= {"PREDICTOR": "YES"} if predictor else {}
    with MemoryFile() as made, MemoryFile() as cog:
        with rasterio.Env(GDAL_NUM_THREADS=threads, **_ENV), quiet_georeference():
            with made.open(**plain_profile(**profile)) as raster:
                yield raster
            with made.open() as raster:
                copy_cog(raster, cog.name, **options)
        write_bytes(target, cog.getbuffer())


def plain_profile(**profile: Any) -> dict[str, Any]:
    """Return the profile of the GeoTIFF that a COG is copied from, tiled where it is large enough.

    It is deflated, unless `compress` says otherwise.
    """
    profile |= {"driver": "GTiff", "BIGTIFF": "IF_SAFER"}
    if "compress" not in profile:
        profile |= {"compress": "deflate", "ZLEVEL": 1}
    if min(profile["height"], profile["width"]) >= TILE:
        profile |= {"tiled": True, "blockxsize": TILE, "blockysize": TILE, "interleave": "band"}
    return profile


def copy_cog(raster: DatasetReader | Path, target: str | Path, **options: Any) -> None:
    """Copy a raster, open or of this machine, to a COG, by the driver's `options` besides our own."""
    rasterio.shutil.copy(raster, target, **_COG | options)


def write_codes(
    target: AnyPath,
    blocks: Iterable[tuple[Window, NDArray[np.uint8]]],
    legend: Legend,
    *,
    height: int,
    width: int,
    crs: CRS | None,
    transform: Affine | None,
    threads: int = 1,
) -> None:
    """Write codes, one band u8, with a legend's colours and names, as a COG; see `new_cog`.

    `blocks` yields (window, codes of shape (window.height, window.width)) and must cover the raster once.
    """
    with new_cog(
        target, height=height, width=width, crs=crs, transform=transform, threads=threads,
        count=1, dtype="uint8", nodata=legend.nodata,
        compress="packbits",  # codes lie in runs: hardly larger than deflated, and far quicker both ways
    ) as raster:  # fmt: skip
        explain(raster, legend)
        for window, codes in blocks:
            raster.write(codes, 1, window=window)


def explain(raster: DatasetWriter, legend: Legend) -> None:
    """Give an open raster of codes the colours and names of its codes, before any is written."""
    raster.write_colormap(1, {entry.code: (*entry.colour, 255) for entry in legend.entries})
    raster.set_band_description(1, legend.band)
    named = [entry for entry in legend.entries if entry.code != legend.nodata]
    raster.update_tags(1, **{f"{legend.tag}_{entry.code}": entry.title for entry in named})
