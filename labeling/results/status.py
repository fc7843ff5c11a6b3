"""status.tif: why each pixel of a scene has a class or none, beside its labels and its map."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.windows import Window

from labeling.doubt import Doubt
from labeling.files.cogs.legend import STATUS as LEGEND
from labeling.files.cogs.write import write_codes
from labeling.files.storage import AnyPath
from labeling.grid import Block
from labeling.scenes.contract.scene import SceneInfo
from labeling.status import PixelStatus


def classed_by(doubts: Iterable[Doubt]) -> PixelStatus:
    """Return what pixels with a class are in a scene of which these doubts speak.

    A low sun explains itself, so it comes before others.
    """
    codes = {doubt.code for doubt in doubts}
    if "low-sun" in codes:
        return PixelStatus.LOW_SUN
    return PixelStatus.DOUBT if codes else PixelStatus.CLASSIFIED


def carried(own: NDArray[np.uint8], labels: NDArray[np.uint8], *, clouds_only: bool) -> NDArray[np.uint8]:
    """Return the PixelStatus codes of a map, u8 (height, width), that the status of its labels adds to.

    `own` is what the map itself knows, CLASSIFIED where nothing, and comes first. With `clouds_only` the
    map's classes are not from these labels, and only the sky is.
    """
    known = labels == PixelStatus.CLOUD if clouds_only else labels != PixelStatus.CLASSIFIED
    return np.where((own == PixelStatus.CLASSIFIED) & known, labels, own)


def without_class(status: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which pixels never have a class, bool like `status`; under cloud a network may give one."""
    return np.asarray((status == PixelStatus.NODATA) | (status == PixelStatus.LAND))


def write_status(
    target: AnyPath, cut: Sequence[Block], statuses_of: Callable[[Block], NDArray[np.uint8]], **grid: Any
) -> dict[str, int]:
    """Write a scene's status raster; return how many pixels have each code, by its name.

    `statuses_of` returns a block's codes, u8 (height, width); `grid` is that of `write_codes`.
    """
    counts = dict.fromkeys(PixelStatus, 0)

    def passing() -> Iterator[tuple[Window, NDArray[np.uint8]]]:
        for block in cut:
            codes = statuses_of(block)
            for status in PixelStatus:
                counts[status] += int(np.count_nonzero(codes == np.uint8(status)))
            yield block.window, codes

    write_codes(target, passing(), LEGEND, **grid)
    return {status.name.lower(): count for status, count in counts.items()}


def grid_of(info: SceneInfo) -> dict[str, Any]:
    """Return where a scene's rasters lie, as labeling.files.cogs.write asks for it."""
    return {"height": info.height, "width": info.width, **place_of(info)}


def place_of(info: SceneInfo) -> dict[str, Any]:
    """Return `crs` and `transform` of a scene's rasters, both None where it has no place on Earth."""
    return {"crs": CRS.from_wkt(info.crs) if info.crs else None, "transform": info.affine}
