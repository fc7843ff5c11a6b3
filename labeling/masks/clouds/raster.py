"""clouds.tif: what was found of a scene's sky, on the grid of its cells."""

from __future__ import annotations

from typing import Final

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS

from labeling.classes import IGNORE, Rgb
from labeling.files.cogs.write import new_cog
from labeling.files.layout import finished_file, read_done
from labeling.files.raster import check_shape, open_raster
from labeling.files.storage import AnyPath
from labeling.masks.clouds.cells import CellGrid
from labeling.masks.clouds.find import CloudSettings
from labeling.masks.clouds.products import CloudClass
from labeling.scenes.contract.scene import SceneInfo

CLOUDS: Final = "clouds.tif"
"""Name of a labelled scene's cloud raster."""

COLOURS: Final[dict[CloudClass, Rgb]] = {
    CloudClass.CLEAR: (247, 247, 247),
    CloudClass.SHADOW: (77, 77, 77),
    CloudClass.CIRRUS: (253, 184, 99),
    CloudClass.OPAQUE: (178, 24, 43),
}


def write_clouds(
    target: AnyPath,
    probability: NDArray[np.float32] | None,
    classes: NDArray[np.uint8],
    *,
    grid: CellGrid,
    crs: CRS | None,
    transform: Affine | None,
) -> None:
    """Write a COG of one pixel a cell: band 1 probability in percent, band 2 CloudClass; IGNORE is none.

    `probability` is float32 0..1, NaN for none, or None for none at all; both are (rows, columns) of `grid`.
    `crs` and `transform` are those of the scene's 10 m pixels, None without georeference. Cells that are
    cut off at the scene's border reach beyond it. Names and colours of the classes are tags of band 2,
    because a TIFF of two bands has no colour table there. The file appears whole or not at all.
    """
    if classes.shape != (grid.rows, grid.columns):
        raise ValueError(f"classes have the shape {classes.shape}, and {grid} has {grid.whole}")
    place = None if transform is None else grid.transform(transform)
    with new_cog(
        target, height=grid.rows, width=grid.columns, crs=crs, transform=place,
        count=2, dtype="uint8", nodata=IGNORE,
    ) as raster:  # fmt: skip
        raster.descriptions = ("cloud probability (%)", "cloud class")
        raster.update_tags(2, **{f"CLASS_{kind.value}": kind.title for kind in CloudClass})
        raster.update_tags(
            2, **{f"COLOUR_{kind.value}": "#{:02x}{:02x}{:02x}".format(*COLOURS[kind]) for kind in CloudClass}
        )
        raster.write(_percent(probability, classes.shape), 1)
        raster.write(classes, 2)


def _percent(probability: NDArray[np.float32] | None, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    if probability is None:
        return np.full(shape, IGNORE, np.uint8)
    percent = np.rint(np.clip(probability, 0, 1) * 100)
    return np.where(np.isnan(percent), IGNORE, percent).astype(np.uint8)


def read_cloud_mask(folder: AnyPath, info: SceneInfo) -> tuple[NDArray[np.uint8], CellGrid] | None:
    """Return the CloudClass of a labelled scene's cells and their grid; None where no cloud was looked for.

    `folder` is that of the scene's finished labels.
    """
    done = read_done(folder)
    if done is None or CLOUDS not in done["files"]:
        return None
    grid = CloudSettings(**done["inputs"]["clouds"]).grid(height=info.height, width=info.width)
    with open_raster(finished_file(folder, CLOUDS)) as raster:
        check_shape(raster, height=grid.rows, width=grid.columns)
        return np.asarray(raster.read(2), np.uint8), grid
