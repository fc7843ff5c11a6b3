"""What simulated products show: the air's light by the sun's height, and classes beside real pixels.

    .venv/bin/python -m benchmarks.science.simulated_products

1. Molecules alone, seen from straight above: path reflectance, two-way transmittance, spherical albedo.
2. Median reflectance of the classes of clear simulated scenes, L1C and L2A, by the sun's zenith angle; below
it real pixels that a reference calls water. Real data are looked for in ../shared/data, or in POLYNYA_DATA.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.science.clouds import DATA
from labeling.bands import BLUE, GREEN, RED, ProductType
from labeling.classes import IceClass
from labeling.grid import Block
from labeling.scenes.products.safe.reader import open_product
from labeling.simulation.air import Air, through_air
from labeling.simulation.product import product_spec, write_simulated
from labeling.simulation.safe.spec import Direction
from labeling.simulation.scene import SceneSpec, simulate

SUNS: Final = (45, 60, 70, 78)
COLOURS: Final = (BLUE, GREEN, RED)
LEVELS: Final[tuple[ProductType, ...]] = ("L1C", "L2A")
SIDE: Final = 600


def air_table() -> Table:
    """Light that molecules scatter; gases left out."""
    table = Table(
        "sun", "path", "two-way transmittance", "spherical albedo", title="1. B02, B03, B04 of clean air"
    )
    for sun in SUNS:
        seen = [through_air(Air(), band, Direction(sun, 0), Direction(0, 0)).passage for band in COLOURS]
        table.add_row(
            f"{sun}",
            ", ".join(f"{one.path:.4f}" for one in seen),
            ", ".join(f"{one.down * one.up:.4f}" for one in seen),
            ", ".join(f"{one.sphere:.4f}" for one in seen),
        )
    return table


def medians(sun: float, level: ProductType, seeds: range) -> dict[IceClass, NDArray[np.float64]]:
    """Return the median reflectance of B02, B03, B04 by class, (3,), over clear scenes read from their
    files."""
    seen: dict[IceClass, list[NDArray[np.float32]]] = {code: [] for code in IceClass}
    for seed in seeds:
        spec = SceneSpec(
            scene_id="clear",
            height=SIDE,
            width=SIDE,
            seed=seed,
            sun_zenith=sun,
            ice_cover=0.75,
            thin_share=0.4,
        )
        scene = simulate(spec)
        with TemporaryDirectory() as folder:
            path = write_simulated(Path(folder), product_spec(spec, product_type=level), scene)
            with open_product(str(path)) as product:
                values = product.read(Block(0, 0, SIDE, SIDE), COLOURS).values
        for code, parts in seen.items():
            parts.append(values[:, scene.truth == code])
    return {code: np.median(np.concatenate(parts, axis=1), axis=1) for code, parts in seen.items()}


def class_table() -> Table:
    """Classes of six clear scenes at each height of the sun."""
    table = Table("level", "sun", *(code.title for code in IceClass), title="2. B02, B03, B04: medians")
    for level in LEVELS:
        for sun in SUNS:
            found = medians(sun, level, range(6))
            table.add_row(level, f"{sun}", *(_three(found[code]) for code in IceClass))
    for title, row in _real_water():
        table.add_row("L1C", title, _three(row))
    return table


def _three(values: NDArray[np.float64]) -> str:
    return ", ".join(f"{value:.3f}" for value in values)


def _real_water() -> Iterator[tuple[str, NDArray[np.float64]]]:
    file = DATA / "csmask-clouds" / "sentinel2.npz"
    if file.exists():
        with np.load(file) as content:
            water = content["img"][content["msk"][..., 0] == 1][:, :3]
        for share in (1, 50, 99):
            yield f"real, {share} %", np.percentile(water, share, axis=0)


def main() -> None:
    """Measure and print."""
    for make in (air_table, class_table):
        Console(width=110).print(make())


if __name__ == "__main__":
    main()
