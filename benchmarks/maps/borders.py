"""Compares what a network says near a scene's border, by what it is shown beyond it.

    make demo SIZE=-small
    .venv/bin/python -m benchmarks.maps.borders --model demo/model --scenes 6 --side 1024

Scenes are cut out of larger simulated ones, so what lies around them is known, and what is right. *Nothing*
are zeros in every layer, as jobs.infer has it and as training has it around chips; *mirrored* the scene's own
pixels, as jobs.infer had it; *the ice* what is there. All by Keras alone, in one pass over each picture.
"""

from __future__ import annotations

import argparse
import os
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import rasterio
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from labeling.grid import Block
from labeling.scenes.open import open_scene
from labeling.scenes.sidecars import truth_path
from labeling.simulation.scene import SceneSpec, write_scene
from training.predict import Predictor

BEYOND: Final = ("nothing", "mirrored", "the ice")


def classes_of(picture: NDArray[np.uint8], predictor: Predictor) -> dict[str, NDArray[np.int64]]:
    """Return a scene's classes, (height, width), by what is beyond it; `picture` is larger by the margin."""
    margin = predictor.margin
    inside = (slice(margin, -margin),) * 2
    scene = picture[inside]
    mirrored = np.pad(scene, [(margin, margin)] * 2 + [(0, 0)], mode="symmetric")
    alone, among, there = (
        predictor.predict(each[np.newaxis])[0].argmax(-1) for each in (scene, mirrored, picture)
    )
    return dict(zip(BEYOND, (alone, among[inside], there[inside]), strict=True))


def border_distance(height: int, width: int) -> NDArray[np.int64]:
    """Return how many pixels lie between each pixel and the border, (height, width)."""
    rows, columns = (np.minimum(np.arange(side), np.arange(side)[::-1]) for side in (height, width))
    return np.minimum(rows[:, np.newaxis], columns)


def main() -> None:
    """Compare and print."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--model", type=Path, required=True, help="model folder, as jobs.train writes it")
    options.add_argument("--scenes", type=int, default=6)
    options.add_argument("--side", type=int, default=1024, help="pixels, whole cells of the network")
    given = options.parse_args()
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    predictor = Predictor.load(given.model, batch=1, task="segment")
    margin = predictor.margin
    side = given.side + 2 * margin
    distance = border_distance(given.side, given.side)
    edges = [*(edge for edge in (0, 4, 16) if edge < margin), margin, given.side]
    right: dict[str, list[NDArray[np.bool_]]] = {name: [] for name in BEYOND}
    other: dict[str, list[NDArray[np.bool_]]] = {name: [] for name in BEYOND}
    with TemporaryDirectory() as folder:
        for number in range(given.scenes):
            spec = SceneSpec(scene_id=f"scene{number}", height=side, width=side, seed=9500 + number)
            path = write_scene(Path(folder), spec)
            with rasterio.open(truth_path(path)) as raster:
                truth = raster.read(1)[margin:-margin, margin:-margin]
            with open_scene(str(path), predictor.card.rendering) as scene:
                picture = scene.read(Block(0, 0, side, side)).rgb.transpose(1, 2, 0)
            found = classes_of(picture, predictor)
            for name, classes in found.items():
                right[name].append(classes == truth)
                other[name].append(classes != found["the ice"])
    table = Table(
        "pixels from the border",
        *(f"right, {name}" for name in BEYOND),
        *(f"another class than with the ice, {name}" for name in BEYOND[:2]),
        title=f"depth {predictor.card.depth}, width {predictor.card.width}, margin {margin}",
    )
    for nearest, farthest in [*pairwise(edges), (0, margin), (0, given.side)]:
        where = (distance >= nearest) & (distance < farthest)
        shares = [float(np.stack(right[name])[:, where].mean()) for name in BEYOND]
        moved = [float(np.stack(other[name])[:, where].mean()) for name in BEYOND[:2]]
        name = "all" if (nearest, farthest) == (0, given.side) else f"{nearest} to {farthest - 1}"
        table.add_row(name, *(f"{share:.2%}" for share in shares), *(f"{share:.3%}" for share in moved))
    Console(width=180).print(table)


if __name__ == "__main__":
    main()
