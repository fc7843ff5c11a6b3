"""Chips on a worker: choose the split of each chip of a scene, and write them as Parquet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from affine import Affine
from numpy.typing import NDArray
from pyspark.sql import types as T
from rasterio.io import DatasetReader

from labeling.chips.card import CHIP_SCHEMA, SPLITS, ChipTally, Split
from labeling.classes import CLASS_COUNT, IGNORE
from labeling.errors import describe
from labeling.files.atomic import remove, replacing
from labeling.files.layout import LABELS, finished_file, scene_folder
from labeling.files.marks import FileMark, mark_of
from labeling.files.raster import check_shape, open_raster, read_codes
from labeling.files.storage import AnyPath
from labeling.grid import Block, blocks
from labeling.ice.label import class_fractions
from labeling.masks.clouds.cells import CellGrid
from labeling.masks.clouds.find import cloud_mask
from labeling.masks.clouds.raster import read_cloud_mask
from labeling.masks.limits import LimitSettings
from labeling.scenes.contract.scene import Scene, SceneInfo
from labeling.scenes.open import open_scene
from pipelines.config import ChipSettings
from pipelines.engine.rows import Row, each_row, records

WORK: Final = T.StructType(
    [
        T.StructField("scene_id", T.StringType(), nullable=False),
        T.StructField("info", T.StringType(), nullable=False),
        T.StructField("group", T.StringType(), nullable=False),
        T.StructField("split", T.StringType()),
        T.StructField("cells", T.ArrayType(T.StringType())),
    ]
)
"""One row a scene: the split of all its chips, or where that is null of each of them, row by row."""

SURVEYED: Final = T.StructType(
    [
        T.StructField("scene_id", T.StringType(), nullable=False),
        T.StructField("chips", T.StringType()),
        T.StructField("error", T.StringType()),
    ]
)
"""The class fractions of each chip of a scene, row by row, as JSON: null for one that is mostly ignored."""

CUT: Final = T.StructType(
    [
        T.StructField("scene_id", T.StringType(), nullable=False),
        T.StructField("split", T.StringType()),
        T.StructField("chips", T.IntegerType(), nullable=False),
        T.StructField("pixels", T.ArrayType(T.LongType(), containsNull=False), nullable=False),
        T.StructField("digest", T.StringType(), nullable=False),
        T.StructField("bytes", T.LongType(), nullable=False),
        T.StructField("sha256", T.StringType(), nullable=False),
        T.StructField("empty", T.StringType()),
        T.StructField("error", T.StringType()),
    ]
)
"""One row a scene and split: how many chips, pixels of each class, digests; or why none, or the error."""


class ChipJob(NamedTuple):
    """What every worker needs to know; small, and pickled with the tasks."""

    settings: ChipSettings
    limits: LimitSettings
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


def survey_scenes(frames: Iterator[pd.DataFrame], job: ChipJob) -> Iterator[pd.DataFrame]:
    """Spark's step before blocks are chosen: WORK rows in, SURVEYED rows out."""
    yield from each_row(frames, partial(_survey_scene, job=job), SURVEYED, job.limits)


def _survey_scene(task: Row, job: ChipJob) -> Row:
    fractions, usable = _survey(task["scene_id"], SceneInfo.loads(task["info"]), job)
    cells = zip(fractions.reshape(-1, CLASS_COUNT).tolist(), usable.ravel().tolist(), strict=True)
    return {"chips": json.dumps([of_chip if good else None for of_chip, good in cells])}


def cut_scenes(frames: Iterator[pd.DataFrame], job: ChipJob) -> Iterator[pd.DataFrame]:
    """Spark's map step: a row a scene in, a row of CUT for each of its splits out."""
    for frame in frames:
        for task in records(frame):
            yield pd.DataFrame(list(_cut_scene(task, job)), columns=CUT.names)


def _cut_scene(task: Row, job: ChipJob) -> Iterator[Row]:
    """Write a scene's chips, one file a split, and yield a row a split; an error becomes a row."""
    scene_id, info = task["scene_id"], SceneInfo.loads(task["info"])
    none = {"scene_id": scene_id, "split": None, "chips": 0, "pixels": [0] * CLASS_COUNT, "digest": ""}
    none |= {"bytes": 0, "sha256": "", "empty": None, "error": None}
    files = {split: job.target / f"split={split}" / f"{scene_id}.parquet" for split in SPLITS}
    try:
        written = job.limits.in_time(partial(_write_splits, files, task, info, job))
        for split, (tally, mark) in written.items():
            yield none | tally.of(split, scene_id)._asdict() | mark
        if not written:
            yield none | {"empty": _why_empty(info, job.settings)}
    except Exception as problem:  # whatever is wrong with one scene must not stop the others
        for file in files.values():
            remove(file)
        yield none | {"error": describe(problem)}


def _write_splits(
    files: dict[Split, AnyPath], task: Row, info: SceneInfo, job: ChipJob
) -> dict[Split, tuple[ChipTally, FileMark]]:
    """Write the chips of a scene; return what they are, by split: none of a split without chips."""
    splits, written = _choose_splits(task, info, job), {}
    for split in SPLITS:
        chosen = [block for block, choice in splits.items() if choice == split]
        if chosen:
            written[split] = _write_split(files[split], task, info, chosen, job)
    return written


def _why_empty(info: SceneInfo, settings: ChipSettings) -> str:
    """Return why a scene gives no chip, and which setting helps."""
    shortest = min(info.height, info.width)
    if shortest < settings.size:
        way = f"cut smaller ones (--chip-size {2 ** (shortest.bit_length() - 1)})" if shortest >= 16 else ""
        return (
            f"no chips: {info.height} rows x {info.width} columns hold no chip of {settings.size} x "
            f"{settings.size} pixels; {way or 'the scene is too small for any'}, or leave chips out "
            "(--outputs labels,quicklook)"
        )
    return (
        f"no chips: each is without a class over more than {settings.max_ignore:.0%} of its pixels, or too "
        "near to those of another split; raise chips.max_ignore in the configuration file, cut smaller chips "
        "(--chip-size), or leave chips out (--outputs labels,quicklook)"
    )


def _choose_splits(task: Row, info: SceneInfo, job: ChipJob) -> dict[Block, str]:
    """Return the split of each chip of a scene; chips that are mostly ignored are left out."""
    size = job.settings.size
    rows, columns = info.height // size, info.width // size
    if not rows or not columns:
        return {}
    if task["split"] is None:
        chosen = list(task["cells"])
    else:
        chosen = np.where(_survey(task["scene_id"], info, job)[1], task["split"], "").ravel().tolist()
    return dict(zip(blocks(height=rows * size, width=columns * size, size=size), chosen, strict=True))


def _survey(scene_id: str, info: SceneInfo, job: ChipJob) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the class fractions of a scene's chips, (rows, columns, 3), and which may be used."""
    size = job.settings.size
    rows, columns = info.height // size, info.width // size
    fractions, usable = np.zeros((rows, columns, CLASS_COUNT)), np.zeros((rows, columns), np.bool_)
    with _open_labels(scene_id, info, job) as labels:
        for cell in np.ndindex(rows, columns):
            label = read_codes(labels, Block(cell[0] * size, cell[1] * size, size, size).window)
            fractions[cell] = class_fractions(label)
            usable[cell] = np.mean(label == IGNORE) <= job.settings.max_ignore
    return fractions, usable


@contextmanager
def _open_labels(scene_id: str, info: SceneInfo, job: ChipJob) -> Iterator[DatasetReader]:
    """Open a scene's labels; SceneError unless they are the file that was finished, and of the scene."""
    file = finished_file(scene_folder(job.labels, scene_id), LABELS)
    with open_raster(file) as labels:
        check_shape(labels, height=info.height, width=info.width)
        yield labels


def _write_split(
    file: AnyPath, task: Row, info: SceneInfo, places: list[Block], job: ChipJob
) -> tuple[ChipTally, FileMark]:
    """Write chips of one scene and split, one row group each; return what they are, and the file's mark."""
    scene_id, tally = task["scene_id"], ChipTally()
    with replacing(file) as temporary:
        with (
            pq.ParquetWriter(temporary, CHIP_SCHEMA, compression="zstd") as writer,
            open_scene(info.uri, job.rendering) as scene,
            _open_labels(scene_id, info, job) as labels,
        ):
            clouds = read_cloud_mask(scene_folder(job.labels, scene_id), info)
            for place in places:
                chip = _read_chip(scene, read_codes(labels, place.window), place, clouds)
                writer.write_table(pa.Table.from_pylist([_record(task, info, chip)], schema=CHIP_SCHEMA))
                tally.add(chip.image.tobytes(), chip.label.tobytes())
        return tally, mark_of(temporary)


def _read_chip(
    scene: Scene,
    label: NDArray[np.uint8],
    place: Block,
    clouds: tuple[NDArray[np.uint8], CellGrid] | None,
) -> _Chip:
    rgb = scene.read(place).rgb
    fraction = None if clouds is None else float(cloud_mask(*clouds, place).mean())
    return _Chip(place, np.ascontiguousarray(rgb.transpose(1, 2, 0)), label, fraction)


def _record(task: Row, info: SceneInfo, chip: _Chip) -> dict[str, Any]:
    place = chip.block
    transform = None
    if info.affine is not None:
        transform = list(info.affine @ Affine.translation(place.column, place.row))[:6]
    return {
        "scene_id": task["scene_id"],
        "group": task["group"],
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
