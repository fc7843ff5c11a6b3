"""Labels one full Sentinel-2 granule, against the floor of decoding its bands and writing the label.

    .venv/bin/python -m benchmarks.labelling.granule               # makes the product first, some minutes
    .venv/bin/python -m benchmarks.labelling.granule --side 2196   # a small one, to try

The product is simulated (a scene of 1098 pixels, repeated) and lies in --folder, where it is found again.
Each row is a process of its own; memory is the peak of the largest worker. The floor decodes every block of
the bands that the row needs once, shared out over the same number of processes, and writes the row's labels.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import rasterio
from rich.console import Console
from rich.table import Table

from benchmarks.labelling.measure import Measured, measure
from labeling.bands import Band
from labeling.files.cogs.legend import class_legend
from labeling.files.cogs.write import write_codes
from labeling.grid import Block, blocks
from labeling.masks.clouds.find import CloudSettings, needed_bands
from labeling.scenes.contract.product import GRID, BandLayout
from labeling.scenes.products.safe.files import find_files
from labeling.scenes.products.safe.reader import open_product
from labeling.scenes.products.scene import TRUE_COLOUR
from labeling.simulation.product import product_spec, write_simulated
from labeling.simulation.scene import SceneSpec, SimulatedScene, simulate

PROFILE: Final = "polynya-l1c"
SKIES: Final = {
    "labels": CloudSettings(),
    "labels and clouds": CloudSettings(sources=("s2cloudless", "product")),
}
_UNIT: Final = 1098
"""Side in pixels of the scene that is repeated: 60 m pixels divide it, and it divides a granule."""


def main() -> None:
    """Make the product, run every row, print the table."""
    given = _arguments()
    if given.way:
        _run_way(given)
        return
    product = make_product(given.folder, given.side)
    table = Table(
        "work", "seconds", "floor", "ratio", "largest worker, MiB", "JVM, MiB",
        title=f"{given.side} x {given.side} L1C product, {given.cores} cores, start-up not counted",
    )  # fmt: skip
    for name in SKIES:
        command = [
            *(".venv/bin/python", "-m", "benchmarks.labelling.granule", "--side", str(given.side)),
            *("--cores", str(given.cores), "--folder", str(given.folder), "--row", name),
        ]
        shutil.rmtree(given.folder / "run", ignore_errors=True)
        ours = measure([*command, "--way", "ours"])
        floor = measure([*command, "--way", "floor"])
        table.add_row(name, *_figures(ours, floor))
    Console(width=120).print(table, f"product: {product}", sep="\n")


def make_product(folder: Path, side: int) -> Path:
    """Return the product of that size in a folder; it is written where it is not there yet."""
    for path in sorted((folder / f"{side}").glob("*.SAFE")):
        return path
    spec = SceneSpec(
        scene_id="granule", height=_UNIT, width=_UNIT, seed=7, cloud=0.5, ice_cover=0.85, thin_share=0.25
    )
    unit, repeats = simulate(spec), side // _UNIT
    scene = SimulatedScene(
        np.tile(unit.rgb, (1, repeats, repeats)),
        *(np.tile(layer, (repeats, repeats)) for layer in unit[1:]),
    )
    whole = spec.model_copy(update={"height": side, "width": side})
    return write_simulated(folder / f"{side}", product_spec(whole), scene)


def _figures(ours: Measured, floor: Measured) -> list[str]:
    return [
        f"{ours.work:.1f}",
        f"{floor.work:.1f}",
        f"{ours.work / floor.work:.2f}",
        f"{ours.python >> 20}",
        f"{ours.java >> 20}",
    ]


def _arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--side", type=int, default=10980, help=f"pixels, a multiple of {_UNIT}")
    options.add_argument("--cores", type=int, default=2)
    options.add_argument("--folder", type=Path, default=Path("build/granule"), help="product and results")
    options.add_argument("--row", choices=list(SKIES), default="labels", help=argparse.SUPPRESS)
    options.add_argument("--way", choices=["ours", "floor"], help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.side % _UNIT:
        options.error(f"--side must be a multiple of {_UNIT}")
    return given


# --- one row, in a process of its own ---


def _run_way(given: argparse.Namespace) -> None:
    with {"ours": ours, "floor": floor}[given.way](given) as work:
        ready = time.monotonic()
        work()
        done = time.monotonic()
    print(json.dumps({"ready": ready, "done": done}))


@contextmanager
def ours(given: argparse.Namespace) -> Iterator[Callable[[], None]]:
    """Label with Spark on `local[cores]`."""
    from contextlib import nullcontext
    from unittest.mock import patch

    from benchmarks.labelling.ours import start_workers
    from pipelines.config import LabelConfig
    from pipelines.engine.session import spark_session
    from pipelines.engine.settings import SparkSettings
    from pipelines.label import run

    settings = SparkSettings(master=f"local[{given.cores}]")
    config = LabelConfig(
        scenes=[str(make_product(given.folder, given.side))],
        out=given.folder / "run",
        profile=PROFILE,
        outputs=["labels"],
        clouds=SKIES[given.row],
        spark=settings,
    )
    with spark_session("polynya granule", settings) as spark:
        start_workers(spark, given.cores)

        def label() -> None:
            with patch("pipelines.label.lazy_session", lambda *_: nullcontext(lambda: spark)):
                outcome = run(config)
            if outcome.failures:
                raise RuntimeError(f"labelling failed: {outcome.failures}")

        yield label


@contextmanager
def floor(given: argparse.Namespace) -> Iterator[Callable[[], None]]:
    """Decode each block of the row's bands once, and write the labels that are there."""
    product = make_product(given.folder, given.side)
    with ProcessPoolExecutor(given.cores) as executor:
        list(executor.map(abs, range(given.cores)))
        yield partial(_read_and_write, executor, product, given)


def _read_and_write(executor: ProcessPoolExecutor, path: Path, given: argparse.Namespace) -> None:
    bands = dict.fromkeys((*TRUE_COLOUR, *needed_bands(SKIES[given.row])))
    with open_product(str(path)) as product:
        layouts = {band: product.layout(band) for band in bands}
        crs, transform = product.facts.crs, product.facts.transform
    pieces = [(path, band, block) for band, layout in layouts.items() for block in _rows(layout, given.side)]
    pieces.sort(key=lambda piece: -piece[2].height * piece[2].width)
    list(executor.map(_decode, pieces))
    [labels] = (given.folder / "run/labels").glob("*/labels.tif")
    with rasterio.open(labels) as raster:
        codes = raster.read(1)
    cut = list(blocks(height=given.side, width=given.side, size=1024, columns=given.side))
    write_codes(
        given.folder / "floor.tif",
        ((block.window, codes[block.slices]) for block in cut),
        class_legend(),
        height=given.side,
        width=given.side,
        crs=crs,
        transform=transform,
        threads=given.cores,
    )


def _rows(layout: BandLayout, side: int) -> Iterator[Block]:
    native = side * GRID // layout.resolution
    return blocks(height=native, width=native, size=layout.block_height, columns=native)


def _decode(piece: tuple[Path, Band, Block]) -> None:
    """Decode a row of a band's blocks with GDAL alone."""
    path, band, block = piece
    files = find_files(str(path))
    with rasterio.open(files.gdal_path(files.band(band))) as image:
        image.read(1, window=block.window)


if __name__ == "__main__":
    main()
