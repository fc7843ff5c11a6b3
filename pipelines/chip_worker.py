"""Chips on a worker: choose the split of each chip of a scene, and write them as Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from affine import Affine
from numpy.typing import NDArray
from pyspark.sql import types as T

from labeling.chips.card import CHIP_SCHEMA, SPLITS, ChipTally
from labeling.chips.splits import split_cells
from labeling.classes import CLASS_COUNT, IGNORE
from labeling.errors import describe
from labeling.files.atomic import remove, replacing
from labeling.files.layout import LABELS
from labeling.files.raster import open_raster
from labeling.files.storage import AnyPath
from labeling.grid import Block, blocks
from labeling.ice.label import class_fractions
from labeling.masks.clouds.cells import CellGrid
from labeling.masks.clouds.find import cloud_mask
from labeling.masks.clouds.raster import read_cloud_mask
from labeling.scenes.contract.scene import Scene, SceneInfo
from labeling.scenes.open import open_scene
from pipelines.config import ChipSettings
from pipelines.engine.rows import records

CUT: Final = T.StructType(
    [
        T.StructField("scene_id", T.StringType(), nullable=False),
        T.StructField("split", T.StringType()),
        T.StructField("chips", T.IntegerType(), nullable=False),
        T.StructField("pixels", T.ArrayType(T.LongType(), containsNull=False), nullable=False),
        T.StructField("digest", T.StringType(), nullable=False),
        T.StructField("error", T.StringType()),
    ]
)
"""One row a scene and split: how many chips, pixels of each class, and a digest; or the error."""


class ChipJob(NamedTuple):
    """What every worker needs to know; small, and pickled with the tasks."""

    settings: ChipSettings
    rendering: str
    labels: AnyPath
    """Folder of the labels, a folder a scene."""
    target: AnyPath
    """Folder that the Parquet files go to."""


class _Chip(NamedTuple):
    block: Block
    image: NDArray[np.uint8]
    """(size, size, 3) R, G, B."""
    label: NDArray[np.uint8]
    """(size, size)."""
    cloud_fraction: float | None
    """Share of the chip under cloud or its shadow; None where nobody looked for cloud."""


def cut_scenes(frames: Iterator[pd.DataFrame], job: ChipJob) -> Iterator[pd.DataFrame]:
    """Spark's map step: a row a scene in, a row of CUT for each of its splits out."""
    for frame in frames:
        for task in records(frame):
            yield pd.DataFrame(list(_cut_scene(task, job)), columns=CUT.names)


def _cut_scene(task: dict[str, Any], job: ChipJob) -> Iterator[dict[str, Any]]:
    """Write a scene's chips, one file a split, and yield a row a split; an error becomes a row."""
    scene_id, info = task["scene_id"], SceneInfo.loads(task["info"])
    none = {"scene_id": scene_id, "chips": 0, "pixels": [0] * CLASS_COUNT, "digest": "", "error": None}
    files = {split: job.target / f"split={split}" / f"{scene_id}.parquet" for split in SPLITS}
    try:
        splits = _choose_splits(scene_id, info, task["split"], job)
        for split in SPLITS:
            chosen = [block for block, choice in splits.items() if choice == split]
            if chosen:
                tally = _write_split(files[split], scene_id, info, chosen, job)
                yield none | tally.of(split, scene_id)._asdict()
    except Exception as problem:  # whatever is wrong with one scene must not stop the others
        for file in files.values():
            remove(file)
        yield none | {"split": None, "error": describe(problem)}


def _choose_splits(scene_id: str, info: SceneInfo, split: str | None, job: ChipJob) -> dict[Block, str]:
    """Return the split of each chip of a scene; chips that are mostly ignored are left out."""
    size, settings = job.settings.size, job.settings
    rows, columns = info.height // size, info.width // size
    whole = blocks(height=rows * size, width=columns * size, size=size) if rows and columns else ()
    places = list(whole)
    fractions, usable = np.zeros((rows, columns, CLASS_COUNT)), np.zeros((rows, columns), np.bool_)
    with open_raster(job.labels / scene_id / LABELS) as labels:
        for place in places:
            label = labels.read(1, window=place.window)
            cell = place.row // size, place.column // size
            fractions[cell] = class_fractions(label)
            usable[cell] = np.mean(label == IGNORE) <= settings.max_ignore
    if split is not None:
        chosen = np.where(usable, split, "")
    else:
        chosen = split_cells(fractions, usable, val_share=settings.val_share, test_share=settings.test_share)
    return {place: str(chosen[place.row // size, place.column // size]) for place in places}


def _write_split(
    file: AnyPath, scene_id: str, info: SceneInfo, places: list[Block], job: ChipJob
) -> ChipTally:
    """Write chips of one scene and split, one row group each; return what they are."""
    tally = ChipTally()
    with (
        replacing(file) as temporary,
        pq.ParquetWriter(temporary, CHIP_SCHEMA, compression="zstd") as writer,
        open_scene(info.uri, job.rendering) as scene,
        open_raster(job.labels / scene_id / LABELS) as labels,
    ):
        clouds = read_cloud_mask(job.labels / scene_id, info)
        for place in places:
            chip = _read_chip(scene, labels.read(1, window=place.window), place, clouds)
            writer.write_table(pa.Table.from_pylist([_record(scene_id, info, chip)], schema=CHIP_SCHEMA))
            tally.add(chip.image.tobytes(), chip.label.tobytes())
    return tally


def _read_chip(
    scene: Scene,
    label: NDArray[np.uint8],
    place: Block,
    clouds: tuple[NDArray[np.uint8], CellGrid] | None,
) -> _Chip:
    rgb = scene.read(place).rgb
    fraction = None if clouds is None else float(cloud_mask(*clouds, place).mean())
    return _Chip(place, np.ascontiguousarray(rgb.transpose(1, 2, 0)), label, fraction)


def _record(scene_id: str, info: SceneInfo, chip: _Chip) -> dict[str, Any]:
    place = chip.block
    transform = None
    if info.affine is not None:
        transform = list(info.affine @ Affine.translation(place.column, place.row))[:6]
    return {
        "scene_id": scene_id,
        "group": info.group,
        "row": place.row,
        "column": place.column,
        "crs": info.crs,
        "transform": transform,
        "image": chip.image.tobytes(),
        "label": chip.label.tobytes(),
        "class_fractions": class_fractions(chip.label).tolist(),
        "ignore_fraction": float(np.mean(chip.label == IGNORE)),
        "cloud_fraction": chip.cloud_fraction,
    }
