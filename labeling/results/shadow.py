"""shadow.tif: where the filter's guard saw shadow in a labelled scene, on the grid of its cells."""

from __future__ import annotations

from typing import Final

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from labeling.files.cogs.write import new_cog
from labeling.files.layout import finished_file
from labeling.files.raster import check_shape, open_raster
from labeling.files.storage import AnyPath
from labeling.results.status import grid_of
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
    transform = None if info.affine is None else info.affine @ Affine.scale(cell)
    grid = grid_of(info) | {"height": rows, "width": columns, "transform": transform}
    with new_cog(target, **grid, count=2, dtype="float32", predictor=True) as raster:
        raster.descriptions = ("evidence of shadow, above 0 for it", "share of edges around that are soft")
        raster.write(np.stack(bands))


def read_softness(folder: AnyPath, info: SceneInfo, cell: int) -> NDArray[np.float32]:
    """Return the share of soft edges, f32 (rows, columns), in a scene's finished labels.

    SceneError where it is of another scene.
    """
    with open_raster(finished_file(folder, SHADOW)) as raster:
        check_shape(raster, height=-(-info.height // cell), width=-(-info.width // cell))
        return np.asarray(raster.read(2), np.float32)
