"""What the labelling benchmark works on: simulated scenes on disk, and the labels they must get.

folder/
  pictures-66x2048/*.png               the published set's size
  large-1x10980/large.tif              one Sentinel-2 tile, tiled 256, deflated
  <workload>/<profile>/<scene>.npy     labels by the literal OpenCV chain of tests/helpers/oracle.py

They are made once and found again. Orientations of a few simulated scenes stand for many: noise does not
compress any better for being turned.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.crs import CRS

from benchmarks.labelling.way import FILTERED, RAW
from labeling.files.atomic import replacing
from labeling.files.raster import TILE
from labeling.simulation.scene import SceneSpec, placement, simulate, variety

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "helpers"))
import oracle

_LABEL: Final[dict[str, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]]] = {
    RAW: oracle.label,
    FILTERED: oracle.label_filtered,
}
_ORIENTATIONS: Final = 8


class Workload(NamedTuple):
    """Scenes to be labelled, all at one time."""

    name: str
    folder: Path
    scenes: list[Path]
    pixels: int
    """Of one scene."""

    def expected(self, profile: str) -> Path:
        """Return the folder of the labels that a profile must give, u8 <scene>.npy."""
        return self.folder / profile


def pictures(folder: Path, count: int, side: int) -> Workload:
    """Return `count` square PNGs, made if they are not there."""
    work = Workload("pictures", folder / f"pictures-{count}x{side}", [], side**2)
    names = [f"picture-{number:02d}" for number in range(count)]
    if not all((work.folder / f"{name}.png").exists() for name in names):
        for name, rgb in zip(names, _many(count, side), strict=False):
            _keep(work, work.folder / f"{name}.png", rgb, _write_png)
    return work._replace(scenes=[work.folder / f"{name}.png" for name in names])


def large(folder: Path, side: int) -> Workload:
    """Return one square GeoTIFF, made if it is not there: a quarter of it is simulated, the rest mirrored."""
    work = Workload("large", folder / f"large-1x{side}", [], side**2)
    path = work.folder / "large.tif"
    if not path.exists():
        half = -(-side // 2)
        spec = SceneSpec(scene_id="large", height=half, width=half, seed=11, cloud=0.45)
        quarter = simulate(spec).rgb.transpose(1, 2, 0)
        rgb = np.pad(quarter, [(0, side - half), (0, side - half), (0, 0)], mode="symmetric")
        _keep(work, path, rgb, partial(_write_tif, spec=spec))
    return work._replace(scenes=[path])


def _many(count: int, side: int) -> Iterator[NDArray[np.uint8]]:
    """Yield pictures (side, side, 3): simulated ones, each in eight orientations."""
    for spec in variety(-(-count // _ORIENTATIONS), height=side, width=side, seed=7):
        rgb = simulate(spec).rgb.transpose(1, 2, 0)
        for number in range(_ORIENTATIONS):
            turned = np.rot90(rgb, number % 4)
            yield np.ascontiguousarray(turned if number < 4 else turned[::-1])


def _keep(
    work: Workload,
    path: Path,
    rgb: NDArray[np.uint8],
    write: Callable[[Path, NDArray[np.uint8]], None],
) -> None:
    """Write the labels that a scene must get, then the scene: where it is, they are."""
    for profile, label in _LABEL.items():
        with replacing(work.expected(profile) / f"{path.stem}.npy") as temporary:
            np.save(temporary, label(rgb))
    with replacing(path) as temporary:
        write(temporary, rgb)


def _write_png(path: Path, rgb: NDArray[np.uint8]) -> None:
    cv2.imwrite(str(path), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))


def _write_tif(path: Path, rgb: NDArray[np.uint8], spec: SceneSpec) -> None:
    height, width, count = rgb.shape
    with rasterio.open(
        path, "w", driver="GTiff", dtype=rgb.dtype, count=count, height=height, width=width,
        crs=CRS.from_user_input(spec.crs), transform=placement(spec), photometric="rgb",
        tiled=True, blockxsize=TILE, blockysize=TILE, compress="deflate",
    ) as raster:  # fmt: skip
        raster.write(rgb.transpose(2, 0, 1))
