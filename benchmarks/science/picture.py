"""Draws scene, labels, map and truth of one simulated scene: the README's picture, from the demonstration.

    make demo && .venv/bin/python -m benchmarks.science.picture --run demo --scene ross-02
    .venv/bin/python -m benchmarks.science.picture --run MAPS --scene NAME --map "thresholds moved" \\
        --out moved.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import rasterio

from labeling.classes import IGNORE
from labeling.files.layout import Run, read_done
from labeling.results.quicklook import write_quicklook
from labeling.scenes.sidecars import truth_path


def main() -> None:
    """Read the four rasters and write the picture."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--run", type=Path, default=Path("demo"))
    options.add_argument("--scene", default="ross-02", help="a scene of the test split")
    options.add_argument("--map", default="map of the U-Net", help="what to call the map")
    options.add_argument("--out", type=Path, default=Path("docs/pictures/scene-labels-map-truth.png"))
    given = options.parse_args()

    run = Run(given.run)
    done = read_done(run.labels(given.scene))
    if done is None:
        raise SystemExit(f"no labels of {given.scene} in {given.run}: run `make demo` or jobs.label first")
    scene = Path(done["inputs"]["uri"])
    with rasterio.open(scene) as raster:
        rgb = raster.read([1, 2, 3]).transpose(1, 2, 0)
    panels = [
        ("automatic labels", run.labels(given.scene) / "labels.tif"),
        (given.map, run.maps(given.scene) / "classes.tif"),
        ("truth", truth_path(scene)),
    ]
    classes = {name: read_classes(path) for name, path in panels}
    for name, found in classes.items():
        seen = found != IGNORE
        print(f"{name}: {(found == classes['truth'])[seen].mean():.1%} of the pixels as the truth")
    write_quicklook(
        given.out,
        "A simulated scene that the network has not seen",
        rgb[::2, ::2],
        [(name, found[::2, ::2]) for name, found in classes.items()],
    )


def read_classes(path: Path) -> np.ndarray:
    """Return a class raster, u8 (height, width)."""
    with rasterio.open(path) as raster:
        return np.asarray(raster.read(1), np.uint8)


if __name__ == "__main__":
    main()
