"""Compares maps in bfloat16 with those in float32: time of a sweep, classes that change, probabilities.

    .venv/bin/python -m benchmarks.maps.precision --model demo/model --scenes 4 --side 1024

Both sweep over the same simulated scenes, in turns, on one thread, as a worker of jobs.infer does. Seconds
are those on the processor, of the faster of two sweeps. What is right is known of simulated scenes.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import rasterio
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from labeling.grid import Block
from labeling.scenes.bands import sweep
from labeling.scenes.open import open_scene
from labeling.scenes.sidecars import truth_path
from labeling.simulation.scene import SceneSpec, write_scene
from training.folder.card import read_model_card
from training.predict import Predictor

PRECISIONS = ("float32", "bfloat16")


class Swept(NamedTuple):
    """What a sweep says of a scene, and what it took."""

    probabilities: NDArray[np.float32]
    """(height, width, 3)."""
    seconds: float
    """On the processor."""


def swept(scene: Path, predictor: Predictor) -> Swept:
    """Sweep over a whole scene."""
    card = predictor.card
    with open_scene(str(scene), card.rendering) as opened:
        whole = Block(0, 0, opened.info.height, opened.info.width)
        began = time.process_time()
        found = sweep(opened, [whole], predictor, columns=whole.width, cell=card.multiple)
        probabilities = next(found)[1]
        return Swept(probabilities, time.process_time() - began)


def compare(scene: Path, predictors: dict[str, Predictor]) -> dict[str, Any]:
    """Return seconds, right pixels and differences of a scene, by what the table calls them."""
    with rasterio.open(truth_path(scene)) as raster:
        truth = raster.read(1)
    found: dict[str, Swept] = {}
    for _ in range(2):
        for name, predictor in predictors.items():
            turn = swept(scene, predictor)
            found[name] = min(found.get(name, turn), turn, key=lambda each: each.seconds)
    exact, half = (found[name].probabilities for name in PRECISIONS)
    off = np.abs(exact - half).max(axis=-1)
    return {
        "seconds": [found[name].seconds for name in PRECISIONS],
        "right": [float((found[name].probabilities.argmax(-1) == truth).mean()) for name in PRECISIONS],
        "changed": float((exact.argmax(-1) != half.argmax(-1)).mean()),
        "mean": float(off.mean()),
        "p99": float(np.quantile(off, 0.99)),
        "most": float(off.max()),
    }


def main() -> None:
    """Compare and print."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--model", type=Path, required=True, help="model folder, as jobs.train writes it")
    options.add_argument("--scenes", type=int, default=4)
    options.add_argument("--side", type=int, default=1024, help="pixels")
    given = options.parse_args()
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ[name] = "1"
    card = read_model_card(given.model, "segment")
    predictors = {
        name: Predictor.load(given.model, batch=1, threads=1, precision=name)  # type: ignore[arg-type]
        for name in PRECISIONS
    }
    with TemporaryDirectory() as folder:
        specs = [
            SceneSpec(scene_id=f"scene{seed}", height=given.side, width=given.side, seed=9000 + seed)
            for seed in range(given.scenes)
        ]
        rows = [compare(write_scene(Path(folder), spec), predictors) for spec in specs]
    table = Table(
        "scene", "seconds, float32", "bfloat16", "classes changed", "largest difference of a pixel: mean",
        "99th percentile", "most", "right, float32", "bfloat16",
        title=f"depth {card.depth}, width {card.width}",
    )  # fmt: skip
    for number, row in enumerate(rows):
        table.add_row(
            str(number), *(f"{each:.2f}" for each in row["seconds"]), f"{row['changed']:.3%}",
            f"{row['mean']:.4f}", f"{row['p99']:.4f}", f"{row['most']:.3f}",
            *(f"{each:.3%}" for each in row["right"]),
        )  # fmt: skip
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
