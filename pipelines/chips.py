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
from typing import Any

import numpy as np
from pyspark.sql import SparkSession

from labeling.chips.apart import Survey, split_scenes
from labeling.chips.card import CARD_FILE, SPLITS, ChipCard, HeldFile, Split, card_contents
from labeling.chips.splits import split_groups
from labeling.classes import CLASS_COUNT
from labeling.files.atomic import refilling, write_json
from labeling.files.layout import LABELS, Run, is_done, read_done, write_done
from labeling.ice.profile import LabelingProfile
from labeling.masks.clouds.raster import CLOUDS
from labeling.masks.limits import LimitSettings
from pipelines.chip_groups import ground, groups_of
from pipelines.chip_worker import CUT, SURVEYED, WORK, ChipJob, cut_scenes, survey_scenes
from pipelines.config import ChipSettings
from pipelines.engine.scenes import CatalogRow, Failure
from pipelines.engine.session import collect, one_task_each

CHANNELS = 3

_LOG = logging.getLogger("polynya.label")


def make_chips(
    spark: Callable[[], SparkSession],
    rows: list[CatalogRow],
    run: Run,
    profile: LabelingProfile,
    settings: ChipSettings,
    limits: LimitSettings,
) -> list[Failure]:
    """Cut the labelled scenes into `run.chips`, unless that is done; return the scenes that gave an error.

    The folder appears whole, with its card; an earlier one is replaced. In a bucket the card comes last. When
    no scene gives any chip, each is returned with the reason.
    """
    groups = groups_of(rows, run)
    inputs = _inputs(rows, groups, run, settings)
    if not rows or is_done(run.chips, inputs, [CARD_FILE, *_held(run)]):
        return []
    splits = _splits_by_group(groups, settings)
    work = [
        {
            "scene_id": row.scene_id,
            "info": row.info.dumps(),
            "group": group,
            "split": splits.get(group),
            "cells": None,
        }
        for row, group in zip(rows, groups, strict=True)
    ]
    with refilling(run.chips, CARD_FILE) as folder:
        job = ChipJob(settings, limits, profile.rendering, run.root / "labels", folder)
        refused = [] if splits else _choose_blocks(spark(), rows, work, job)
        tasks = one_task_each(spark(), [task for task in work if task["scene_id"] not in dict(refused)], WORK)
        cut = [row.asDict() for row in collect(tasks.mapInPandas(partial(cut_scenes, job=job), CUT))]
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
            held = [f"split={file.split}/{file.scene_id}.parquet" for file in card.files]
            write_done(folder, inputs, [CARD_FILE, *held])
    return [Failure(scene_id, "chips", error) for scene_id, error in failures]


def _held(run: Run) -> list[str]:
    done = read_done(run.chips)
    return [] if done is None else list(done["files"])


def _inputs(rows: list[CatalogRow], groups: list[str], run: Run, settings: ChipSettings) -> dict[str, Any]:
    scenes = {}
    for row, group in zip(rows, groups, strict=True):
        done = read_done(run.labels(row.scene_id)) or {}
        outputs = {name: done.get("outputs", {}).get(name) for name in (LABELS, CLOUDS)}
        scenes[row.scene_id] = {"group": group, "inputs": done.get("inputs"), "outputs": outputs}
    return {"settings": settings.model_dump(), "scenes": scenes}


def _splits_by_group(groups: list[str], settings: ChipSettings) -> dict[str, Split]:
    """Return each group's split; empty when there are too few, and scenes are split by blocks."""
    if len(set(groups)) < len(SPLITS):
        return {}
    return split_groups(
        groups, val_share=settings.val_share, test_share=settings.test_share, seed=settings.seed
    )


def _choose_blocks(
    spark: SparkSession, rows: list[CatalogRow], work: list[dict[str, Any]], job: ChipJob
) -> list[tuple[str, str]]:
    """Put the split of each chip into the tasks' `cells`; return scenes without, and why."""
    tasks = one_task_each(spark, work, WORK)
    found = collect(tasks.mapInPandas(partial(survey_scenes, job=job), SURVEYED))
    seen = {row["scene_id"]: row for row in found if row["error"] is None}
    surveyed = [row for row in rows if row.scene_id in seen]
    surveys = [_survey(row, json.loads(seen[row.scene_id]["chips"]), job.settings.size) for row in surveyed]
    shares = {"val_share": job.settings.val_share, "test_share": job.settings.test_share}
    chosen = split_scenes(surveys, **shares)
    cells = {row.scene_id: each.ravel().tolist() for row, each in zip(surveyed, chosen, strict=True)}
    for task in work:
        task["cells"] = cells.get(task["scene_id"])
    return [(row["scene_id"], row["error"]) for row in found if row["error"] is not None]


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
