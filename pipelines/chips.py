"""Chips with Spark: labelled scenes are cut into training chips; no split sees another's ground.

labels/<scene>/labels.tif + scene -> (one task a scene) chips/split=…/<scene>.parquet -> chips.json

Where there are too few groups of scenes, a task a scene first surveys what chips there are, and the driver
chooses blocks that keep apart across scenes.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from pyspark.sql import SparkSession
from pyspark.sql.types import StructType

from labeling.chips.apart import Survey, split_scenes
from labeling.chips.card import CARD_FILE, SPLITS, ChipCard, HeldFile, Split, card_contents
from labeling.chips.splits import split_groups
from labeling.classes import CLASS_COUNT
from labeling.files.atomic import refilling, write_json
from labeling.files.layout import LABELS, Run, finished_mark, write_done, write_mark
from labeling.files.marks import FileMark, mark_of
from labeling.files.storage import AnyPath
from labeling.ice.profile import LabelingProfile
from labeling.masks.clouds.raster import CLOUDS
from labeling.masks.limits import LimitSettings
from labeling.uncollected import uncollected
from pipelines.chip_groups import ground, groups_of
from pipelines.chip_worker import CUT, SURVEYED, WORK, ChipJob, cut_scenes, survey_scenes
from pipelines.config import ChipSettings
from pipelines.engine.scenes import CatalogRow, Failure
from pipelines.engine.session import collect
from pipelines.many.batches import batch_size, batches, shared_tasks
from pipelines.many.marks import Marks

CHANNELS = 3

CUT_FROM: Final = (LABELS, CLOUDS)
"""Files of a scene's labels that decide its chips."""

_LOG = logging.getLogger("polynya.label")


def make_chips(
    spark: Callable[[], SparkSession],
    rows: list[CatalogRow],
    run: Run,
    profile: LabelingProfile,
    settings: ChipSettings,
    limits: LimitSettings,
    marks: Marks,
) -> list[Failure]:
    """Cut the labelled scenes into `run.chips`, unless that is done; return the scenes that gave an error.

    `marks` are those of their labels, which tell of CUT_FROM.
    The folder appears whole, with its card; an earlier one is replaced. In a bucket the card comes last. When
    no scene gives any chip, each is returned with the reason.
    """
    groups = groups_of(rows, run)
    inputs = _inputs(rows, groups, marks, settings)
    done = finished_mark(run.chips, inputs)
    if not rows or (done is not None and CARD_FILE in done["files"]):
        return []
    splits = _splits_by_group(groups, settings)
    work = [_Work(row, group, splits.get(group)) for row, group in zip(rows, groups, strict=True)]
    with refilling(run.chips, CARD_FILE) as folder:
        job = ChipJob(settings, limits, profile.rendering, run.root / "labels", folder)
        refused: list[tuple[str, str]] = []
        if not splits:
            work, refused = _choose_blocks(spark(), work, job)
        cut = _by_spark(spark(), work, partial(cut_scenes, job=job), CUT)
        card = _card(cut, rows, groups, profile, settings)
        write_json(folder / CARD_FILE, card.model_dump(mode="json"))
        failures = refused + [(row["scene_id"], row["error"]) for row in cut if row["error"]]
        empty = [(row["scene_id"], row["empty"]) for row in cut if row["empty"]]
        if not any(card.counts.values()):
            failures += empty
        elif empty:
            reasons = Counter(reason for _, reason in empty)
            _LOG.warning(
                "%d of %d scenes give no chips: %s", len(empty), len(rows),
                "; ".join(f"{reason} ({count})" for reason, count in reasons.items()),
            )  # fmt: skip
        if not failures:
            _finish(folder, inputs, card)
    return [Failure(scene_id, "chips", error) for scene_id, error in failures]


def _finish(folder: AnyPath, inputs: dict[str, Any], card: ChipCard) -> None:
    held = {f"split={file.split}/{file.scene_id}.parquet": file for file in card.files}
    if not isinstance(folder, Path):  # the server's word for each counts
        write_done(folder, inputs, [CARD_FILE, *held])
        return
    outputs: dict[str, FileMark] = {
        name: {"bytes": file.bytes, "sha256": file.sha256} for name, file in held.items()
    }
    outputs[CARD_FILE] = mark_of(folder / CARD_FILE)
    write_mark(folder, inputs, [CARD_FILE, *held], outputs, {})


class _Work(NamedTuple):
    """A scene to cut."""

    row: CatalogRow
    group: str
    split: Split | None
    """That of all its chips; None where they are in several, or none, as `cells` say."""
    cells: list[str] | None = None

    def task(self) -> dict[str, Any]:
        """Return it as a row of WORK."""
        own = {"scene_id": self.row.scene_id, "info": self.row.info.dumps()}
        return own | {"group": self.group, "split": self.split, "cells": self.cells}


def _by_spark(
    spark: SparkSession, work: list[_Work], step: Callable[..., Any], schema: StructType
) -> list[dict[str, Any]]:
    """Return the rows that a step on the workers makes of scenes, of so many at a time."""
    found: list[dict[str, Any]] = []
    for some in batches(work, batch_size(spark)):
        tasks = shared_tasks(spark, [each.task() for each in some], WORK)
        found += [row.asDict() for row in collect(tasks.mapInPandas(step, schema))]
    return found


@uncollected()
def _inputs(
    rows: list[CatalogRow], groups: list[str], marks: Marks, settings: ChipSettings
) -> dict[str, Any]:
    """Return what decides the chips; of what decides each scene's a digest, for there may be very many."""
    said = marks.of_each(row.scene_id for row in rows)
    lines = [
        f"{scene_id} {json.dumps(group)} {mark.digest}"
        for (scene_id, mark), group in zip(said, groups, strict=True)
    ]
    digest = sha256("\n".join(sorted(lines)).encode())  # in whatever order they were given
    return {"settings": settings.model_dump(), "scenes": {"count": len(rows), "sha256": digest.hexdigest()}}


def _splits_by_group(groups: list[str], settings: ChipSettings) -> dict[str, Split]:
    """Return each group's split; empty when there are too few, and scenes are split by blocks."""
    if len(set(groups)) < len(SPLITS):
        return {}
    return split_groups(
        groups, val_share=settings.val_share, test_share=settings.test_share, seed=settings.seed
    )


def _choose_blocks(
    spark: SparkSession, work: list[_Work], job: ChipJob
) -> tuple[list[_Work], list[tuple[str, str]]]:
    """Return the scenes with the split of each of their chips as `cells`; those without, and why."""
    found = _by_spark(spark, work, partial(survey_scenes, job=job), SURVEYED)
    seen = {row["scene_id"]: row for row in found if row["error"] is None}
    surveyed = [each.row for each in work if each.row.scene_id in seen]
    surveys = [_survey(row, json.loads(seen[row.scene_id]["chips"]), job.settings.size) for row in surveyed]
    shares = {"val_share": job.settings.val_share, "test_share": job.settings.test_share}
    chosen = split_scenes(surveys, **shares)
    cells = {row.scene_id: each.ravel().tolist() for row, each in zip(surveyed, chosen, strict=True)}
    refused = [(row["scene_id"], row["error"]) for row in found if row["error"] is not None]
    cut = [each._replace(cells=cells[each.row.scene_id]) for each in work if each.row.scene_id in cells]
    return cut, refused


def _survey(row: CatalogRow, chips: list[list[float] | None], size: int) -> Survey:
    shape = row.info.height // size, row.info.width // size
    usable = np.array([fractions is not None for fractions in chips], np.bool_).reshape(shape)
    values = np.array([fractions or [0.0] * CLASS_COUNT for fractions in chips], np.float64)
    return Survey(ground(row.info), size, values.reshape(*shape, CLASS_COUNT), usable)


def _card(
    cut: list[dict[str, Any]],
    rows: list[CatalogRow],
    groups: list[str],
    profile: LabelingProfile,
    settings: ChipSettings,
) -> ChipCard:
    shapes = {row.scene_id: {"height": row.info.height, "width": row.info.width} for row in rows}
    files = [
        HeldFile.model_validate(
            {key: row[key] for key in HeldFile.model_fields if key in row} | shapes[row["scene_id"]]
        )
        for row in cut
        if row["chips"]
    ]
    files.sort(key=lambda file: (file.split, file.scene_id))  # whichever was first
    contents = card_contents(file.counted for file in files)
    by_group = len(set(groups)) >= len(SPLITS)
    return ChipCard(
        profile=profile.name,
        profile_version=profile.version,
        rendering=profile.rendering,
        cut_points=(profile.thresholds.water_max, profile.thresholds.thin_ice_max),
        size=settings.size,
        channels=CHANNELS,
        split_by="scene" if by_group else "block",
        gap=0 if by_group else settings.size,
        note=_note(rows, groups, contents["counts"]),
        files=tuple(files),
        **contents,
    )


def _note(rows: list[CatalogRow], groups: list[str], counts: dict[Split, int]) -> str:
    """Return in words how chips were split, and what nobody could know."""
    together = f"{len(rows)} scene(s) in {len(set(groups))} group(s)"
    unplaced = sum(ground(row.info) is None for row in rows)
    unknown = (
        f" {unplaced} scene(s) do not say where they lie; each is taken for ground of its own, unless its "
        "labels are those of another."
        if unplaced and len(rows) > 1
        else ""
    )
    if len(set(groups)) >= len(SPLITS):
        return (
            f"Split by scene, {together}: scenes that share ground or a datatake are one group, and no group "
            f"gives chips to two splits.{unknown}"
        )
    if not any(counts.values()):
        return f"No scene gave any chip: {together}."
    few = f"Fewer than three groups of scenes that share no ground and no datatake ({together})"
    if counts["test"] == 0:
        return f"{few}, too small to keep splits apart inside one: all chips train.{unknown}"
    return (
        f"{few}: split by blocks inside each scene, at least one chip apart, on the ground that scenes share "
        "too. Test figures say how well the model fills in the same scene, not how it does on a new one."
        f"{unknown}"
    )
