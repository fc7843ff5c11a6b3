"""Writers of small picture files for tests."""

from pathlib import Path

import cv2
import numpy as np
import rasterio
from conftest import patchwork, planar
from rasterio.enums import ColorInterp
from rasterio.transform import from_origin

ROSS_SEA = {"crs": "EPSG:3031", "transform": from_origin(200_000, -1_500_000, 10, 10)}


def write_png(path: Path, rgb) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    return path


def write_tif(path: Path, bands, **profile) -> Path:
    """Write (bands, height, width) as a GeoTIFF in the Ross Sea."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = bands.shape
    options = {"driver": "GTiff", "dtype": bands.dtype, "count": count, "height": height, "width": width}
    options |= ROSS_SEA
    with rasterio.open(path, "w", **(options | profile)) as raster:
        raster.write(bands)
    return path


def picture_with_alpha(path: Path, size=64) -> Path:
    """RGBA whose left half is transparent but coloured."""
    rgb = planar(patchwork(size, size, seed=11))
    alpha = np.full((1, size, size), 255, np.uint8)
    alpha[:, :, : size // 2] = 0
    write_tif(path, np.concatenate([rgb, alpha]), photometric="RGB", alpha="unspecified")
    with rasterio.open(path, "r+") as raster:
        raster.colorinterp = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
    return path


def read_labels(run: Path, scene_id: str):
    with rasterio.open(run / "labels" / scene_id / "labels.tif") as raster:
        return raster.read(1)
