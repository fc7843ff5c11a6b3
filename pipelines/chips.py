"""Chips with Spark: labelled scenes are cut into training chips; no split sees another's ground.

labels/<scene>/labels.tif + scene -> (one task a scene) chips/split=…/<scene>.parquet -> chips.json
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import rasterio
from affine import Affine
from numpy.typing import NDArray
from pyspark.sql import SparkSession
from pyspark.sql import types as T

from labeling.chip import CHIP_SCHEMA, SPLITS, ChipCard, Split
from labeling.classes import CLASS_COUNT, IGNORE
from labeling.grid import Block, blocks
from labeling.label import class_fractions
from labeling.layout import Run, is_done, read_done, write_done
from labeling.profile import LabelingProfile
from labeling.raster import quiet_georeference, remove, replacing, write_json
from labeling.scene import Scene, SceneInfo, open_scene
from labeling.splits import split_cells, split_groups
from pipelines.catalog import CatalogRow, Failure
from pipelines.config import ChipSettings
from pipelines.label_worker import LABELS
from pipelines.scene_parts import describe
from pipelines.session import one_task_each, records

CHANNELS = 3
_CARD = "chips.json"

_WORK = T.StructType(
    [
        T.StructField("scene_id", T.StringType(), nullable=False),
        T.StructField("info", T.StringType(), nullable=False),
        T.StructField("split", T.StringType()),  # null: by blocks inside the scene
    ]
)
_CUT = T.StructType(
    [
        T.StructField("scene_id", T.StringType(), nullable=False),
        T.StructField("split", T.StringType()),
        T.StructField("chips", T.IntegerType(), nullable=False),
        T.StructField("pixels", T.ArrayType(T.LongType(), containsNull=False), nullable=False),
        T.StructField("digest", T.StringType(), nullable=False),
        T.StructField("error", T.StringType()),
    ]
)


class ChipJob(NamedTuple):
    """What every worker needs to know; small, and pickled with the tasks."""

    settings: ChipSettings
    labels: Path
    """Folder of the labels, a folder a scene."""
    target: Path
    """Folder that the Parquet files go to."""


def make_chips(
    spark: Callable[[], SparkSession],
    rows: list[CatalogRow],
    run: Run,
    profile: LabelingProfile,
    settings: ChipSettings,
) -> list[Failure]:
    """Cut the labelled scenes into `run.chips`, unless that is done; return the scenes that gave an error.

    The folder appears whole, with its card; an earlier one is replaced.
    """
    inputs = _inputs(rows, run, settings)
    if not rows or is_done(run.chips, inputs, [_CARD]):
        return []
    splits = _splits_by_scene(rows, settings)
    work = [
        {"scene_id": row.scene_id, "info": row.info.dumps(), "split": splits.get(row.info.group)}
        for row in rows
    ]
    with replacing(run.chips) as folder:
        job = ChipJob(settings, run.root / "labels", folder)
        tasks = one_task_each(spark().createDataFrame(work, _WORK), len(work))
        cut = [row.asDict() for row in tasks.mapInPandas(partial(_cut_scenes, job=job), _CUT).collect()]
        folder.mkdir(exist_ok=True)
        card = _card(cut, profile, rows[0].info.rendering, settings, by_scene=bool(splits))
        write_json(folder / _CARD, card.model_dump())
        if not any(row["error"] for row in cut):
            write_done(folder, inputs, [_CARD])
    return [Failure(row["scene_id"], "chips", row["error"]) for row in cut if row["error"]]


def _inputs(rows: list[CatalogRow], run: Run, settings: ChipSettings) -> dict[str, Any]:
    scenes = {row.scene_id: (read_done(run.labels(row.scene_id)) or {}).get("inputs") for row in rows}
    return {"settings": settings.model_dump(), "scenes": scenes}


def _splits_by_scene(rows: list[CatalogRow], settings: ChipSettings) -> dict[str, Split]:
    """Return each acquisition's split; empty when there are too few, and scenes are split by blocks."""
    groups = {row.info.group for row in rows}
    if len(groups) < len(SPLITS):
        return {}
    return split_groups(
        groups, val_share=settings.val_share, test_share=settings.test_share, seed=settings.seed
    )


def _card(
    cut: list[dict[str, Any]],
    profile: LabelingProfile,
    rendering: str,
    settings: ChipSettings,
    *,
    by_scene: bool,
) -> ChipCard:
    counts, pixels, scenes = {}, {}, {}
    for split in SPLITS:
        parts = [row for row in cut if row["split"] == split and row["chips"]]
        counts[split] = sum(row["chips"] for row in parts)
        totals = np.sum([row["pixels"] for row in parts], axis=0) if parts else np.zeros(CLASS_COUNT, int)
        pixels[split] = tuple(int(total) for total in totals)
        scenes[split] = sorted(row["scene_id"] for row in parts)
    lines = sorted(f"{row['split']} {row['scene_id']} {row['digest']}" for row in cut if row["chips"])
    return ChipCard(
        profile=profile.name,
        profile_version=profile.version,
        rendering=rendering,
        size=settings.size,
        channels=CHANNELS,
        split_by="scene" if by_scene else "block",
        gap=0 if by_scene else settings.size,
        counts=counts,
        class_pixels=pixels,
        scenes=scenes,
        note=_note(by_scene, counts),
        digest=sha256("\n".join(lines).encode()).hexdigest(),
    )


def _note(by_scene: bool, counts: dict[Split, int]) -> str:
    if by_scene:
        return "Split by scene: no scene gives chips to two splits."
    if counts["test"] == 0:
        return "Fewer than three scenes, too small to keep splits apart inside one: all chips train."
    return (
        "Fewer than three scenes: split by blocks inside each scene, at least one chip apart. Test figures "
        "say how well the model fills in the same scene, not how it does on a new one."
    )


# --- on the workers ---


class _Chip(NamedTuple):
    block: Block
    image: NDArray[np.uint8]
    """(size, size, 3) R, G, B."""
    label: NDArray[np.uint8]
    """(size, size)."""


def _cut_scenes(frames: Iterator[pd.DataFrame], job: ChipJob) -> Iterator[pd.DataFrame]:
    for frame in frames:
        for task in records(frame):
            yield pd.DataFrame(list(_cut_scene(task, job)), columns=_CUT.names)


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
                facts = _write_split(files[split], scene_id, info, chosen, job)
                yield none | {"split": split} | facts
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
    with quiet_georeference(), rasterio.open(job.labels / scene_id / LABELS) as labels:
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
    file: Path, scene_id: str, info: SceneInfo, places: list[Block], job: ChipJob
) -> dict[str, Any]:
    """Write chips of one scene and split, one row group each; return their count, class pixels and digest."""
    digest, pixels = sha256(), np.zeros(CLASS_COUNT, np.int64)
    with (
        replacing(file) as temporary,
        pq.ParquetWriter(temporary, CHIP_SCHEMA, compression="zstd") as writer,
        open_scene(info.uri) as scene,
        rasterio.open(job.labels / scene_id / LABELS) as labels,
    ):
        for place in places:
            chip = _read_chip(scene, labels.read(1, window=place.window), place)
            writer.write_table(pa.Table.from_pylist([_record(scene_id, info, chip)], schema=CHIP_SCHEMA))
            pixels += np.bincount(chip.label.ravel(), minlength=256)[:CLASS_COUNT]
            digest.update(chip.image.tobytes() + chip.label.tobytes())
    return {"chips": len(places), "pixels": pixels.tolist(), "digest": digest.hexdigest()}


def _read_chip(scene: Scene, label: NDArray[np.uint8], place: Block) -> _Chip:
    rgb, _ = scene.read(place)
    return _Chip(place, np.ascontiguousarray(rgb.transpose(1, 2, 0)), label)


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
        "cloud_fraction": None,
    }
