"""shadow.tif: where the filter's guard saw shadow in a labelled scene, on the grid of its cells."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS

from labeling.files.layout import finished_file
from labeling.files.raster import check_shape, new_raster, open_raster
from labeling.files.storage import AnyPath
from labeling.scenes.contract.scene import SceneInfo

SHADOW: Final = "shadow.tif"
"""Name of a labelled scene's raster of evidence."""


def write_shadow(
    target: AnyPath, bands: tuple[NDArray[np.float32], NDArray[np.float32]], info: SceneInfo, cell: int
) -> None:
    """Write what was found of cells of `cell` pixels, f32 (rows, columns) each: evidence, softness of edges.

    Cells that are cut off at the scene's border reach beyond it. The file appears whole or not at all.
    """
    rows, columns = bands[0].shape
    profile: dict[str, Any] = {
        "driver": "GTiff", "dtype": "float32", "count": 2, "height": rows, "width": columns,
        "crs": CRS.from_wkt(info.crs) if info.crs else None, "compress": "deflate", "predictor": 3,
    }  # fmt: skip
    if info.affine is not None:
        profile["transform"] = info.affine @ Affine.scale(cell)
    with new_raster(target, **profile) as raster:
        raster.descriptions = ("evidence of shadow, above 0 for it", "share of edges around that are soft")
        raster.write(np.stack(bands))


def read_softness(folder: AnyPath, info: SceneInfo, cell: int) -> NDArray[np.float32]:
    """Return the share of soft edges, f32 (rows, columns), in a scene's finished labels.

    SceneError where it is of another scene.
    """
    with open_raster(finished_file(folder, SHADOW)) as raster:
        check_shape(raster, height=-(-info.height // cell), width=-(-info.width // cell))
        return np.asarray(raster.read(2), np.float32)
