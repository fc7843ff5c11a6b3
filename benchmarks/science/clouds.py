"""What s2cloudless finds, what the snow guard changes, and what a forgotten offset does.

    .venv/bin/python -m benchmarks.science.clouds

1. Real L1C patches of 13 bands, averaged to cells: the share of cells flagged.
2. The snow guard's rule on real pixels with a reference: the share of each class that it would call snow. The
   reference has no snow, and the pixels have no B10, so this shows only what the guard can cost.
3. Simulated spectra of snow under a clear sky, and of cloud above snow, because no real snow in all ten bands
   is at hand. A sketch: it tells directions, not rates.
4. Simulated L1C scenes: the share of cells flagged by what they show.

Real data are looked for in ../shared/data, or in POLYNYA_DATA. Spectra are made by snow_spectra.py.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import numpy as np
import rasterio
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.science.snow_spectra import Spectra, simulated
from labeling.bands import Band
from labeling.classes import IceClass
from labeling.files.raster import quiet_georeference
from labeling.grid import Block
from labeling.masks.clouds.cells import CellGrid, cell_sums, mean
from labeling.masks.clouds.detector import cloud_probability
from labeling.masks.clouds.find import CloudSettings, find_clouds
from labeling.masks.clouds.products import CloudClass
from labeling.masks.clouds.snow_guard import SnowGuardSettings, is_snow
from labeling.simulation.light import Conditions, band_reflectance
from labeling.simulation.product import product_spec
from labeling.simulation.scene import SceneSpec, simulate

DATA: Final = Path(os.environ.get("POLYNYA_DATA", Path(__file__).parents[3] / "shared" / "data"))
PATCHES: Final = {
    "l1c-13band/s2_cloudy_ROIs1970_fall_139_p839.tif": 0,
    "l1c-13band/s2_cloudfree_ROIs1970_fall_139_p839.tif": 0,
    "l1c-13band/mamba_s2_cloudy_ROIs1868_summer_19_p30.tif": 0,
    "terramesh/S2L1C/38D_378R_2_3.tif": 0,
    "terramesh/S2L1C/282D_485L_3_3.tif": -1000,
}
"""Offset of each patch's DN."""

UNGUARDED: Final = CloudSettings(sources=("s2cloudless",), snow_guard=None)
GUARDED: Final = CloudSettings(sources=("s2cloudless",))


def patch_cells(file: Path, offset: int, side: int) -> Spectra:
    """Return the mean reflectance of a patch's cells, which are `side` 10 m pixels."""
    with quiet_georeference(), rasterio.open(file) as image:
        dn = image.read().astype(np.float32)
    height, width = dn.shape[1:]
    grid = CellGrid(height, width, side)
    block = Block(0, 0, height, width)
    valid = np.ones(dn.shape[1:], np.bool_)
    return {
        band: mean(cell_sums((layer + np.float32(offset)) / np.float32(10000), valid, block, 1, grid))
        for band, layer in zip(Band, dn, strict=True)
    }


def flagged(cells: Spectra, settings: CloudSettings) -> float:
    """Return the share of cells that get no label."""
    return float((find_clouds(cells, {}, settings).classes == CloudClass.OPAQUE).mean())


def patch_table() -> Table:
    """Real patches at 160 m and 60 m."""
    table = Table("patch", "cell", "flagged", "guarded", "offset forgotten", title="1. Real L1C patches")
    for name, offset in PATCHES.items():
        for side in (16, 6):
            settings = {"resolution": 10 * side}
            cells = patch_cells(DATA / name, offset, side)
            wrong = patch_cells(DATA / name, offset + 1000, side)
            shares = (
                flagged(cells, UNGUARDED.model_copy(update=settings)),
                flagged(cells, GUARDED.model_copy(update=settings)),
                flagged(wrong, UNGUARDED.model_copy(update=settings)),
            )
            table.add_row(Path(name).stem, f"{10 * side} m", *(f"{share:.1%}" for share in shares))
    return table


def reference_table() -> Table:
    """Real pixels of B02, B03, B04, B08, B11, B12 with a reference."""
    table = Table("reference", "pixels", "called snow", title="2. The guard on real pixels, without B10")
    with np.load(DATA / "csmask-clouds" / "sentinel2.npz") as file:
        image, mask = file["img"], file["msk"][..., 0]
    spectra = {Band.B03: image[..., 1], Band.B11: image[..., 4], Band.B10: np.zeros_like(image[..., 0])}
    snow = is_snow(spectra, SnowGuardSettings())
    for code, title in enumerate(("cloud shadow", "water", "snow", "land", "cloud")):
        pixels = mask == code
        share = f"{snow[pixels].mean():.3%}" if pixels.any() else "none at hand"
        table.add_row(title, f"{pixels.sum():,}", share)
    return table


def simulated_table(count: int) -> Table:
    """Each spectrum alone: no averaging over neighbours, no growing."""
    guards = {"no guard": None, "guard": SnowGuardSettings()}
    guards |= {f"index {level}": SnowGuardSettings(ndsi=level) for level in (0.3, 0.5)}
    guards["any B10"] = SnowGuardSettings(cirrus=1)
    table = Table("", *guards, title=f"3. Share flagged of {count:,} simulated spectra of each kind")
    for title, spectra in simulated(count).items():
        cloudy = cloud_probability(spectra) > UNGUARDED.threshold
        left = [cloudy & ~is_snow(spectra, guard) if guard else cloudy for guard in guards.values()]
        table.add_row(title, *(f"{share.mean():.1%}" for share in left))
    return table


def scene_cells(spec: SceneSpec, side: int) -> tuple[Spectra, dict[str, NDArray[np.bool_]]]:
    """Return the reflectance of a simulated scene's cells of `side` pixels, and which show what, both (y,
    x)."""
    scene, at = simulate(spec), Conditions.of(product_spec(spec))
    block, grid = Block(0, 0, spec.height, spec.width), CellGrid(spec.height, spec.width, side)
    every = np.ones(scene.truth.shape, np.bool_)

    def cells(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return mean(cell_sums(values, every, block, 1, grid))

    cloud, shadow = cells(scene.cloud), cells(scene.shadow)
    shown = {
        "shadow": (shadow > 0.3) & (cloud < 0.02),
        "thin cloud, optical depth 0.15 to 0.8": (cloud >= 0.15) & (cloud < 0.8),
        "cloud, optical depth from 0.8": cloud >= 0.8,
    }
    if spec.cloud == 0:
        # Under a cloudy sky, clear cells are flagged as neighbours of cloud.
        shown = {
            f"{code.title}, clear sky": cells((scene.truth == code).astype(np.float32)) > 0.8
            for code in IceClass
        }
    return {band: cells(band_reflectance(scene, at, band)) for band in Band}, shown


def scene_table(count: int, side: int) -> Table:
    """Simulated scenes, a third of them without cloud, the sun 12 to 40 degrees high, in cells of 160 m."""
    table = Table("cells of", "cells", "flagged", "guarded", title=f"4. {count} simulated L1C scenes")
    found: dict[str, list[NDArray[np.bool_]]] = {}
    for seed, sun in enumerate(np.linspace(50, 78, count)):
        spec = SceneSpec(
            scene_id="cells", height=side, width=side, seed=seed, sun_zenith=float(sun),
            cloud=(0.0, 0.4, 0.8)[seed % 3], ice_cover=(0.6, 0.8, 0.95)[seed // 3 % 3], thin_share=0.4,
        )  # fmt: skip
        cells, shown = scene_cells(spec, 16)
        for title, where in shown.items():
            flags = [
                find_clouds(cells, {}, settings).classes[where] == CloudClass.OPAQUE
                for settings in (UNGUARDED, GUARDED)
            ]
            found.setdefault(title, []).append(np.stack(flags))
    for title, parts in found.items():
        both = np.concatenate(parts, axis=1)
        table.add_row(title, f"{both.shape[1]:,}", *(f"{share:.1%}" for share in both.mean(axis=1)))
    return table


def main() -> None:
    """Measure and print."""
    console = Console()
    for make in (patch_table, reference_table, lambda: simulated_table(4000), lambda: scene_table(18, 960)):
        try:
            console.print(make())
        except OSError as error:
            console.print(f"Left out, because real data are not present: {error}")


if __name__ == "__main__":
    main()
