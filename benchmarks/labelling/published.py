"""The published script's way to label scenes, plainly: split pictures into tiles, a pool over tiles, merge.

Iqrah et al. 2024, their parallel script: one process cuts all pictures into tiles on disk; a pool reads
each tile, does OpenCV's HSV and three `inRange`, and writes it painted; one process puts them together with
Pillow. Only the middle is parallel. `shared` is the kindest reading: cutting and merging share the pool as
well, a picture a task. With the filter every tile is filtered on its own, so the labels are others than those
of the scene-wide filter.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from multiprocessing import Pool
from multiprocessing.pool import Pool as Workers
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.labelling.way import RAW, Job

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "helpers"))
import oracle

TILE: Final = 256

Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]


@contextmanager
def published(job: Job, cores: int) -> Iterator[Callable[[], None]]:
    """Label with a pool of `cores` processes for the tiles; a scene's labels are a painted PNG."""
    with Pool(cores) as workers:
        yield partial(_label, map, workers, job)


@contextmanager
def shared(job: Job, cores: int) -> Iterator[Callable[[], None]]:
    """The same with the pool for cutting and merging too."""
    with Pool(cores) as workers:
        yield partial(_label, workers.map, workers, job)


def _label(mapped: Map, workers: Workers, job: Job) -> None:
    tiles = list(mapped(partial(split, job.out / "tiles"), job.scenes))
    workers.map(paint_plain if job.profile == RAW else paint_filtered, list(chain(*tiles)))
    list(mapped(partial(merge, job), job.scenes))


def split(folder: Path, scene: Path) -> list[Path]:
    """Cut a picture into tiles in a folder of its own; return their paths."""
    picture = _read(scene)
    (folder / scene.stem).mkdir(parents=True)
    tiles = []
    for row in range(0, picture.shape[0], TILE):
        for column in range(0, picture.shape[1], TILE):
            tiles.append(folder / scene.stem / f"{row}_{column}.png")
            _write(tiles[-1], picture[row : row + TILE, column : column + TILE])
    return tiles


def paint_plain(tile: Path) -> None:
    """Write a tile's labels beside it, painted in the published colours."""
    _write(tile.with_suffix(".labels.png"), oracle.segment(_read(tile)))


def paint_filtered(tile: Path) -> None:
    """The same from the tile's own thin-cloud filter."""
    grey = oracle.filter_thin_clouds(_read(tile))
    _write(tile.with_suffix(".labels.png"), oracle.segment(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)))


def merge(job: Job, scene: Path) -> None:
    """Put a picture's painted tiles together."""
    rows: dict[int, dict[int, NDArray[np.uint8]]] = {}
    for tile in (job.out / "tiles" / scene.stem).glob("*.labels.png"):
        row, column = (int(number) for number in tile.name.split(".")[0].split("_"))
        rows.setdefault(row, {})[column] = np.asarray(Image.open(tile))
    strips = [np.hstack([tiles[column] for column in sorted(tiles)]) for _, tiles in sorted(rows.items())]
    job.folder(scene).mkdir(parents=True)
    Image.fromarray(np.vstack(strips)).save(job.folder(scene) / "labels.png")


def codes(picture: Path) -> NDArray[np.uint8]:
    """Return the class codes of a merged picture, u8 (height, width)."""
    colours = _read(picture)
    found = np.full(colours.shape[:2], 99, np.uint8)
    for code, colour in oracle.PAINT.items():
        found[(colours == colour).all(axis=2)] = code
    return found


def _read(path: Path) -> NDArray[np.uint8]:
    picture = cv2.imread(str(path))
    if picture is None:
        raise FileNotFoundError(f"{path} cannot be read as a picture")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def _write(path: Path, rgb: NDArray[np.uint8]) -> None:
    cv2.imwrite(str(path), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
