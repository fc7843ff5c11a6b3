"""Scenes that overlap: pieces of one simulated surface, some under a clear sky and some under cloud."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from affine import Affine
from rasterio.crs import CRS

from labeling.simulation.scene import NODATA, SceneSpec, placement, simulate, write_bands

SHARE: Final = 0.6
"""Of the surface's side that a piece covers; the rest is its neighbour's alone."""

CLOUD: Final = 0.35
"""Amount of cloud over every second piece."""


def write_neighbours(folder: Path, spec: SceneSpec) -> list[Path]:
    """Write four pictures of a surface's corners, which overlap, as GeoTIFFs; return their paths.

    Two opposite ones are under cloud. What is there is not written again.
    """
    height, width = round(SHARE * spec.height), round(SHARE * spec.width)
    corners = [(row, column) for row in (0, spec.height - height) for column in (0, spec.width - width)]
    paths = [folder / f"{spec.scene_id}-{number}.tif" for number in range(1, 5)]
    if all(path.exists() for path in paths):
        return paths
    skies = {cloud: simulate(spec.model_copy(update={"cloud": cloud})).rgb for cloud in (0.0, CLOUD)}
    for number, (path, (row, column)) in enumerate(zip(paths, corners, strict=True)):
        rgb = skies[CLOUD if number in (1, 2) else 0.0][:, row : row + height, column : column + width]
        transform = placement(spec) @ Affine.translation(column, row)
        crs = CRS.from_user_input(spec.crs)
        write_bands(path, rgb, crs=crs, transform=transform, nodata=NODATA, photometric="rgb")
    return paths
