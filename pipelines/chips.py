"""Chips with Spark: labelled scenes are cut into training chips; no split sees another's ground.

labels/<scene>/labels.tif + scene -> (one task a scene) chips/split=…/<scene>.parquet -> chips.json
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import types as T

from labeling.chips.card import CARD_FILE, SPLITS, ChipCard, ChipFile, Split, card_contents
from labeling.chips.splits import split_groups
from labeling.files.atomic import refilling, write_json
from labeling.files.layout import Run, is_done, read_done, write_done
from labeling.ice.profile import LabelingProfile
from pipelines.chip_worker import CUT, ChipJob, cut_scenes
from pipelines.config import ChipSettings
from pipelines.engine.scenes import CatalogRow, Failure
from pipelines.engine.session import one_task_each

CHANNELS = 3

_WORK = T.StructType(
    [
        T.StructField("scene_id", T.StringType(), nullable=False),
        T.StructField("info", T.StringType(), nullable=False),
        T.StructField("split", T.StringType()),  # null: by blocks inside the scene
    ]
)


def make_chips(
    spark: Callable[[], SparkSession],
    rows: list[CatalogRow],
    run: Run,
    profile: LabelingProfile,
    settings: ChipSettings,
) -> list[Failure]:
    """Cut the labelled scenes into `run.chips`, unless that is done; return the scenes that gave an error.

    The folder appears whole, with its card; an earlier one is replaced. In a bucket the card comes last.
    """
    inputs = _inputs(rows, run, settings)
    if not rows or is_done(run.chips, inputs, [CARD_FILE]):
        return []
    splits = _splits_by_scene(rows, settings)
    work = [
        {"scene_id": row.scene_id, "info": row.info.dumps(), "split": splits.get(row.info.group)}
        for row in rows
    ]
    with refilling(run.chips, CARD_FILE) as folder:
        job = ChipJob(settings, profile.rendering, run.root / "labels", folder)
        tasks = one_task_each(spark(), work, _WORK)
        cut = [row.asDict() for row in tasks.mapInPandas(partial(cut_scenes, job=job), CUT).collect()]
        card = _card(cut, profile, settings, by_scene=bool(splits))
        write_json(folder / CARD_FILE, card.model_dump())
        if not any(row["error"] for row in cut):
            write_done(folder, inputs, [CARD_FILE])
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
    settings: ChipSettings,
    *,
    by_scene: bool,
) -> ChipCard:
    contents = card_contents(ChipFile(*(row[key] for key in ChipFile._fields)) for row in cut)
    return ChipCard(
        profile=profile.name,
        profile_version=profile.version,
        rendering=profile.rendering,
        cut_points=(profile.thresholds.water_max, profile.thresholds.thin_ice_max),
        size=settings.size,
        channels=CHANNELS,
        split_by="scene" if by_scene else "block",
        gap=0 if by_scene else settings.size,
        note=_note(by_scene, contents["counts"]),
        **contents,
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
