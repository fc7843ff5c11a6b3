"""Simulated scenes as Sentinel-2 products, for demonstrations and for benchmarks of whole granules.

A product has 13 bands (L2A: 12), a true-colour image, quality masks and metadata, and beside it the same
sidecars as a simulated picture: true classes, cloud and shadow, where `sidecars.sidecar_path` says. Its
pixels are physics (light.py, processor.py), not the picture's levels: the same surface and sky, seen as a
real product shows them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from zlib import crc32

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.windows import Window

from labeling.bands import BANDS, Band, ProductType
from labeling.errors import ConfigError
from labeling.files.cogs.legend import class_legend
from labeling.files.cogs.write import write_codes
from labeling.scenes.contract.product import GRID
from labeling.scenes.sidecars import sidecar_path, truth_path
from labeling.simulation.light import REACH, Conditions, band_reflectance
from labeling.simulation.noise import Field
from labeling.simulation.processor import (
    error_field,
    guess,
    noisy,
    quality_classes,
    scene_classes,
    surface_from_top,
)
from labeling.simulation.safe.spec import ProductSpec, viewing
from labeling.simulation.safe.writer import mean_of_blocks, product_path, to_dn, write_product
from labeling.simulation.scene import (
    SceneSpec,
    SimulatedScene,
    simulate,
    sun_azimuth,
    write_bands,
)
from labeling.simulation.tiles import find_tile

STEP: Final = 6
"""Sides are multiples of this many 10 m pixels: a product has bands of 60 m."""

_STRIP_ROWS: Final = 170 * STEP
"""Rows simulated at a time: a band's intermediate fields stay small beside the scene."""

_FIRST_PASS: Final = datetime(2019, 11, 1, 20, 9, 1, tzinfo=UTC)
_FIRST_ORBIT: Final = 22_774
_ORBITS_A_DAY: Final = 143 / 10
"""Sentinel-2 is back over the same ground after ten days and 143 orbits."""

_EDGE: Final = 9.5
"""Degrees across the track, about what a tile at the edge of the swath is seen under."""

_SEASON: Final = 100
"""Days from the first pass to the last: the Ross Sea's light season."""


def write_product_scene(
    folder: Path, spec: SceneSpec, *, product_type: ProductType = "L1C", baseline: str = "05.00"
) -> Path:
    """Simulate a scene and write it as a product with its sidecars; return the `.SAFE` folder.

    The product is the upper left part of the tile that `spec` falls into, in that tile's UTM zone whatever
    the specification's CRS. ConfigError unless sides are multiples of 6 and pixels 10 m.
    """
    product = product_spec(spec, product_type=product_type, baseline=baseline)
    return write_simulated(folder, product, simulate(spec))


def write_simulated(folder: Path, product: ProductSpec, scene: SimulatedScene) -> Path:
    """Write a simulated scene as the product described, and return the `.SAFE` folder.

    The product appears whole and after its sidecars. Sides are multiples of 6. Besides the scene this needs
    about 25 bytes a pixel.
    """
    path = product_path(folder, product)
    grid = Affine(GRID, 0, product.left, 0, -GRID, product.top)
    _write_sidecars(path, scene, CRS.from_user_input(product.crs), grid)
    classes = scene_classes(scene) if product.product_type == "L2A" else None
    return write_product(folder, product, _bands(scene, product), quality_classes(scene), classes)


def product_spec(
    spec: SceneSpec, *, product_type: ProductType = "L1C", baseline: str = "05.00"
) -> ProductSpec:
    """Return the product that a scene becomes: every seed is a pass of its own, every scene_id a product.

    Scenes of one seed share their surface, so they share their acquisition too: sun, view, air and snow.
    """
    if spec.height % STEP or spec.width % STEP or spec.pixel_size != GRID:
        raise ConfigError(
            f"{spec.scene_id} has {spec.height} x {spec.width} pixels of {spec.pixel_size:g} m. A product "
            f"has pixels of {GRID} m, and sides that are multiples of {STEP}: some bands have 60 m."
        )
    tile = find_tile(spec)
    day = spec.seed % _SEASON
    start = _FIRST_PASS + timedelta(days=day, seconds=spec.seed // _SEASON % 3600)
    orbit = _FIRST_ORBIT + round(day * _ORBITS_A_DAY)
    rng = np.random.default_rng(spec.seed)
    drawn, across = round(float(rng.uniform(56, 74)), 2), float(rng.uniform(-_EDGE, _EDGE))
    return ProductSpec(
        product_type=product_type, baseline=baseline,
        tile=tile.name, crs=tile.crs, left=tile.left, top=tile.top,
        datatake_start=start, sensing_time=start + timedelta(seconds=14),
        generated=start + timedelta(hours=3, seconds=crc32(spec.scene_id.encode()) % 36_000),
        # Sentinel-2A's orbits are counted from its launch, the repeating ones from 1 to 143.
        absolute_orbit=orbit, relative_orbit=(orbit + 2) % 143 + 1,
        sun_zenith=drawn if spec.sun_zenith is None else spec.sun_zenith,
        sun_azimuth=round(sun_azimuth(spec), 2), view=viewing(across),
    )  # fmt: skip


def sensed(scene: SimulatedScene, product: ProductSpec, band: Band) -> Field:
    """Return a band's top-of-atmosphere reflectance with the sensor's noise, f32 at its native resolution.

    NaN for no-data. L1C and L2A of one scene share the noise.
    """
    native = _native(scene, Conditions.of(product), band)
    return noisy(np.random.default_rng([_seed(product), list(Band).index(band)]), native, band)


def _seed(product: ProductSpec) -> int:
    return crc32(f"{product.tile} {product.generated:%Y%m%dT%H%M%S}".encode())


def _bands(scene: SimulatedScene, product: ProductSpec) -> Iterator[tuple[Band, NDArray[np.uint16]]]:
    processor = np.random.default_rng(_seed(product))
    guessed = guess(processor, Conditions.of(product))
    height, width = (side // STEP for side in scene.truth.shape)
    error = error_field(processor, height=height, width=width)
    for band in BANDS[product.product_type]:
        seen = sensed(scene, product, band)
        if product.product_type == "L2A":
            seen = surface_from_top(seen, band, guessed, error)
        yield band, to_dn(seen, product.offset)


def _native(scene: SimulatedScene, at: Conditions, band: Band) -> Field:
    """Return a band's top-of-atmosphere reflectance at its native resolution, f32, strip by strip."""
    height = scene.truth.shape[0]
    strips = []
    for row in range(0, height, _STRIP_ROWS):
        first, stop = max(0, row - REACH), min(height, row + _STRIP_ROWS)
        part = band_reflectance(_rows(scene, slice(first, min(height, stop + REACH))), at, band)
        part = part[row - first : stop - first]
        strips.append(mean_of_blocks(part, band.resolution // GRID).astype(np.float32))
    return np.concatenate(strips)


def _rows(scene: SimulatedScene, rows: slice) -> SimulatedScene:
    return SimulatedScene(
        scene.rgb[:, rows], scene.truth[rows], scene.cloud[rows], scene.shadow[rows], scene.value[rows]
    )


def _write_sidecars(path: Path, scene: SimulatedScene, crs: CRS, transform: Affine) -> None:
    height, width = scene.truth.shape
    whole = Window(0, 0, width, height)
    write_codes(
        truth_path(path),
        [(whole, scene.truth)],
        class_legend(),
        height=height,
        width=width,
        crs=crs,
        transform=transform,
    )
    for kind, field in ((".cloud", scene.cloud), (".shadow", scene.shadow)):
        write_bands(sidecar_path(path, kind), field[None], crs=crs, transform=transform, predictor=3)
