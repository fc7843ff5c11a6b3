"""What s2cloudless finds, what the snow guard changes, and what a forgotten offset does.

    .venv/bin/python -m benchmarks.science.clouds

1. Real L1C patches of 13 bands, averaged to cells: the share of cells flagged.
2. The snow guard's rule on real pixels with a reference: the share of each class that it would call snow. The
   reference has no snow, and the pixels have no B10, so this shows only what the guard can cost.
3. Simulated spectra of snow under a clear sky, and of cloud above snow, because no real snow in all ten bands
   is at hand. A sketch: it tells directions, not rates.

Real data are looked for in ../shared/data, or in POLYNYA_DATA. Simulated snow reflects as
exp(-sqrt(absorption x path)) (Kokhanovsky and Zege 2004, Appl. Opt. 43), with paths in ice from 0.5 mm
(fresh) to 16 mm (old); cloud is a two-stream layer above it (absorption: Twomey and Bohren 1980, J. Atmos.
Sci. 37); air above scatters once, and water vapour takes its part of B09 and B10.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import rasterio
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from labeling.bands import Band
from labeling.files.raster import quiet_georeference
from labeling.grid import Block
from labeling.masks.clouds.cells import CellGrid, cell_sums, mean
from labeling.masks.clouds.detector import cloud_probability
from labeling.masks.clouds.find import CloudSettings, find_clouds
from labeling.masks.clouds.products import CloudClass
from labeling.masks.clouds.snow_guard import SnowGuardSettings, is_snow

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

Spectra = dict[Band, NDArray[np.float32]]


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


Range = tuple[float, float]

SNOW: Final[list[tuple[str, Range, Range, Range]]] = [
    ("fresh snow, dry air", (0.5e-3, 2e-3), (0.6, 0.85), (2e-3, 0.01)),
    ("fresh snow, moist air", (0.5e-3, 2e-3), (0.4, 0.6), (5e-4, 2e-3)),
    ("older snow, dry air", (2e-3, 16e-3), (0.6, 0.85), (2e-3, 0.01)),
    ("older snow, moist air", (2e-3, 16e-3), (0.4, 0.6), (5e-4, 2e-3)),
]
"""Clear sky: the path of light through ice (m), and what comes through the air in B09 and in B10."""

CLOUDS: Final[list[tuple[str, bool, Range, Range]]] = [
    ("water cloud", False, (5e-6, 15e-6), (3e-3, 0.03)),
    ("low ice cloud", True, (15e-6, 50e-6), (3e-3, 0.03)),
    ("high ice cloud", True, (15e-6, 50e-6), (0.03, 0.4)),
]
"""Whether of ice, the particles' radius (m), and what comes through the air above in B10."""


class Air(NamedTuple):
    """What lies above what is seen, one value a spectrum, each (count, 1)."""

    sun: NDArray[np.float64]
    """Cosine of the sun's zenith angle."""
    vapour: NDArray[np.float64]
    """Share of B09 that comes through."""
    above: NDArray[np.float64]
    """Share of B10 that comes through."""


# In the order of `Band`. Imaginary refractive index of ice (Warren and Brandt 2008, J. Geophys. Res. 113) and
# of water (Hale and Querry 1973, Appl. Opt. 12) at the middle of the band, and optical depth of clean air.
_METRES: Final = 1e-9 * np.array([443, 492, 560, 665, 704, 741, 783, 833, 865, 945, 1375, 1614, 2202])
_ICE: Final = np.array(
    [7.2e-11, 4.5e-10, 2.8e-9, 1.8e-8, 3.1e-8, 5.0e-8, 1.1e-7, 1.5e-7, 2.4e-7, 5.8e-7, 1.5e-5, 2.7e-4, 2.5e-4]
)
_WATER: Final = np.array(
    [1.0e-9, 1.0e-9, 2.6e-9, 2.0e-8, 4.2e-8, 1.3e-7, 1.4e-7, 2.2e-7, 3.5e-7, 2.5e-6, 1.2e-4, 8.8e-5, 2.9e-4]
)
_RAYLEIGH: Final = np.array([0.236, 0.155, 0.09, 0.045, 0.036, 0.03, 0.023, 0.018, 0.016, 0.011, 0, 0.001, 0])
_OTHER_GASES: Final = np.array([1, 0.99, 0.95, 0.97, 0.98, 0.98, 1, 0.99, 1, 1, 1, 0.98, 0.96])


def between(rng: np.random.Generator, bounds: Range, count: int) -> NDArray[np.float64]:
    """Return values (count, 1) between bounds, evenly spread over orders of magnitude."""
    low, high = np.log(bounds)
    return np.exp(rng.uniform(float(low), float(high), (count, 1)))


def snow_albedo(path: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the albedo of snow (count, 13) in which light goes `path` metres through ice (count, 1)."""
    return np.asarray(np.exp(-np.sqrt(4 * np.pi * _ICE / _METRES * path)))


def cloud_over(
    ground: NDArray[np.float64], depth: NDArray[np.float64], radius: NDArray[np.float64], ice: bool
) -> NDArray[np.float64]:
    """Return the albedo (count, 13) of ground under cloud of an optical depth and particle radius (m)."""
    asymmetry, index = (0.78, _ICE) if ice else (0.85, _WATER)
    absorbed = np.minimum(0.85 * 4 * np.pi * index / _METRES * radius, 0.45)
    scattered = 1 - absorbed
    similarity = np.sqrt(absorbed / (1 - scattered * asymmetry))
    deep = (1 - similarity) / (1 + similarity)
    fading = np.exp(-np.sqrt(3 * absorbed * (1 - scattered * asymmetry)) * depth)
    below = 1 - deep**2 * fading**2
    reflected, passed = deep * (1 - fading**2) / below, (1 - deep**2) * fading / below
    return np.asarray(reflected + passed**2 * ground / (1 - ground * reflected))


def at_sensor(albedo: NDArray[np.float64], air: Air) -> Spectra:
    """Return top-of-atmosphere reflectance, one row of `cells` for each of the spectra."""
    gases = np.tile(_OTHER_GASES, (len(albedo), 1))
    gases[:, [list(Band).index(Band.B09)]] = air.vapour
    gases[:, [list(Band).index(Band.B10)]] = air.above
    path = _RAYLEIGH * 0.75 * (1 + air.sun**2) / (4 * air.sun)
    seen = (path + albedo * np.exp(-_RAYLEIGH / 2 * (1 / air.sun + 1))) * gases
    return {band: seen[None, :, index].astype(np.float32) for index, band in enumerate(Band)}


def simulated(count: int) -> dict[str, Spectra]:
    """Return spectra by what they show, `count` each; the sun stands 10 to 40 degrees high."""
    rng = np.random.default_rng(0)

    def seen(albedo: NDArray[np.float64], vapour: Range, above: Range) -> Spectra:
        sun = np.cos(np.radians(rng.uniform(50, 80, (count, 1))))
        tilt = rng.uniform(0.7, 1.05, (count, 1))
        air = Air(sun, rng.uniform(*vapour, (count, 1)), between(rng, above, count))
        return at_sensor(albedo * tilt, air)

    shown = {}
    for title, path, vapour, above in SNOW:
        shown[title] = seen(snow_albedo(between(rng, path, count)), vapour, above)
    for title, ice, radius, above in CLOUDS:
        for name, depth in (("thin", (1.0, 5.0)), ("thick", (5.0, 40.0))):
            ground = snow_albedo(between(rng, (0.5e-3, 16e-3), count))
            albedo = cloud_over(ground, between(rng, depth, count), between(rng, radius, count), ice)
            shown[f"{name} {title} over snow"] = seen(albedo, (0.6, 0.95), above)
    return shown


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


def main() -> None:
    """Measure and print."""
    console = Console()
    for make in (patch_table, reference_table, lambda: simulated_table(4000)):
        try:
            console.print(make())
        except OSError as error:
            console.print(f"Left out, because real data are not present: {error}")


if __name__ == "__main__":
    main()
