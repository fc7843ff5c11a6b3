"""A block of a mosaic on a worker: all maps that reach into it, merged, and its areas."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from labeling.classes import IGNORE
from labeling.files.atomic import replacing
from labeling.files.storage import AnyPath
from labeling.grid import Block
from labeling.maps.grids import MapGrid
from labeling.maps.sums import Sums
from labeling.status import PixelStatus
from pipelines.products.grids.sampling import Source, merge

PIXELS: Final = "block.npz"
"""Name of a part's file: what merging.Merged holds."""


def fill(task: dict[str, Any], folder: AnyPath) -> dict[str, Any]:
    """Merge a block, and write it as a part; its mark has areas (square centimetres) and pixels, by class."""
    grid = MapGrid.loads(task["grid"])
    merged = merge(grid, grid.whole, [Source.loads(each) for each in task["sources"]], task["rule"])
    keep = Block(*task["keep"]).slices
    outside = np.ones(merged.codes.shape, np.bool_)
    outside[keep] = False
    merged.codes[outside] = IGNORE
    merged.status[outside] = PixelStatus.NODATA
    merged.source[outside] = 0
    sums = Sums.empty(1)
    kept = np.zeros(merged.codes[keep].shape, np.int64)
    sums.add(kept, merged.codes[keep], merged.status[keep], grid.areas(Block(*task["keep"])))
    with replacing(folder / PIXELS) as temporary:
        np.savez_compressed(temporary, **merged._asdict())
    return {"areas": sums.areas[0].tolist(), "counts": sums.pixels[0].tolist()}


def read_block(folder: AnyPath, name: str) -> NDArray[Any]:
    """Read one array of a part, by its name in merging.Merged."""
    with (folder / PIXELS).open("rb") as file, np.load(file, allow_pickle=False) as found:
        return np.asarray(found[name])
