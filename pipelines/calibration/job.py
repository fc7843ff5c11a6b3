"""Calibration with Spark: which cut points fit these scenes.

catalogue -> (one task a scene) histogram of V, V at hints -> candidates -> profile, record, page
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np
import yaml
from pyspark.sql import SparkSession

from labeling.files.atomic import replacing, write_json
from labeling.files.layout import Run, make_run
from labeling.files.locks.folder import run_lock
from labeling.ice.profile import LabelingProfile, load_variants
from labeling.masks.land import checked
from labeling.stages.steps import Recipe
from pipelines.calibration.choose import Choice, CountedScene, choose
from pipelines.calibration.config import CalibrateConfig
from pipelines.calibration.hints_file import read_hints
from pipelines.calibration.page import write_page
from pipelines.calibration.record import Calibration
from pipelines.calibration.worker import COUNTED, TASK, CountJob, HintRead, count_scenes
from pipelines.catalog import build_catalog, part_by_sun
from pipelines.engine.isolate import isolating
from pipelines.engine.outcome import Outcome, close_job
from pipelines.engine.plan import PlannedScene, cut_of, memory_of
from pipelines.engine.progress import progress
from pipelines.engine.scenes import CatalogRow, Failure
from pipelines.engine.session import collect, lazy_session, one_task_each
from pipelines.kinds import part_by_profile

PROFILE: Final = "profile.yaml"
RECORD: Final = "calibration.json"
PAGE: Final = "index.html"

_LOG = logging.getLogger("polynya.calibrate")


def run(config: CalibrateConfig) -> Outcome:
    """Propose cut points for the scenes; what could not be counted goes to failures.jsonl."""
    started = time.time()
    profiles = load_variants(config.start)
    run = make_run(config.out)
    with run_lock(run, "calibrate"), lazy_session("polynya calibrate", config.spark) as spark:
        return _calibrate(config, profiles, run, started, spark)


def _calibrate(
    config: CalibrateConfig,
    profiles: list[LabelingProfile],
    run: Run,
    started: float,
    spark: Callable[[], SparkSession],
) -> Outcome:
    file = read_hints(config.hints)
    rows, failures = build_catalog(config.scenes, run, config.limits, spark)
    start, usable, refused = _one_kind(rows, profiles)
    usable, low = part_by_sun(usable, config.limits, "calibrate")
    usable, large = _part_by_memory(usable, config.spark.worker_memory)
    job = CountJob(
        Recipe(start, config.limits, checked(config.land), config.clouds),
        file,
    )
    counted, lost = _count(spark, usable, job) if usable else ([], [])
    failures += refused + low + large + lost
    if counted:
        _write(run, choose(counted, start, file), start, counted, config)
    else:
        _forget(run)
    return close_job(run, "calibrate", started, config, rows, failures)


def _one_kind(
    rows: list[CatalogRow], profiles: list[LabelingProfile]
) -> tuple[LabelingProfile, list[CatalogRow], list[Failure]]:
    """Return the variant of the start profile that fits most scenes, those, and refusals of all others."""
    kinds, refused = part_by_profile(rows, profiles)
    refused = [failure._replace(step="calibrate") for failure in refused]
    if not kinds:
        return profiles[0], [], refused
    most = max(kinds, key=lambda kind: len(kind.rows))
    others = [
        Failure(
            row.scene_id,
            "calibrate",
            f"{row.info.where} would be drawn as {kind.profile.rendering}, and most scenes here as "
            f"{most.profile.rendering}: cut points belong to one rendering. Calibrate its kind by itself.",
        )
        for kind in kinds
        if kind is not most
        for row in kind.rows
    ]
    return most.profile, most.rows, refused + others


def _count(
    spark: Callable[[], SparkSession], rows: list[CatalogRow], job: CountJob
) -> tuple[list[CountedScene], list[Failure]]:
    """Count the scenes, a task each; return what was found, in the order of the rows, and what failed."""
    cores = spark().sparkContext.defaultParallelism
    scenes = [PlannedScene(row, cut_of(row.info, cores)) for row in rows]
    found: dict[str, CountedScene] = {}
    by_id = {row.scene_id: row for row in rows}

    def count(session: SparkSession, some: list[PlannedScene], job: CountJob) -> list[Failure]:
        work = [
            {"scene_id": s.row.scene_id, "info": s.row.info.dumps(), "cut": s.cut._asdict()} for s in some
        ]
        tasks = one_task_each(session, work, TASK).mapInPandas(partial(count_scenes, job=job), COUNTED)
        failed = []
        for each in collect(tasks):
            if each["error"] is not None:
                failed.append(Failure(each["scene_id"], "calibrate", each["error"]))
                continue
            hints = [HintRead(**hint) for hint in json.loads(each["hints"])]
            counts = np.array(each["counts"], np.int64)
            found[each["scene_id"]] = CountedScene(by_id[each["scene_id"]], counts, hints)
        return failed

    pixels = sum(row.info.height * row.info.width for row in rows)
    with (
        progress("calibrate", scenes=len(rows), pixels=pixels) as shown,
        shown.wave(spark(), scenes=len(rows), pixels=pixels, steps=(("count",),)),
    ):
        failures = isolating(count, spark(), scenes, job)
    kept = [found[row.scene_id] for row in rows if row.scene_id in found]
    return [scene for scene in kept if scene.counts.any()], failures + [
        Failure(scene.row.scene_id, "calibrate", "not one pixel of it gets a class. Leave the scene out.")
        for scene in kept
        if not scene.counts.any()
    ]


def _part_by_memory(rows: list[CatalogRow], memory: int) -> tuple[list[CatalogRow], list[Failure]]:
    """Part the scenes into those that a worker's memory holds, and refusals."""
    good: list[CatalogRow] = []
    large: list[CatalogRow] = []
    for row in rows:
        (large if memory_of(row.info) > memory else good).append(row)
    reason = (
        "{} has {} x {} pixels, which take more memory than spark.worker_memory allows. Raise it, or leave "
        "the scene out: a few of a kind are enough to calibrate by."
    )
    refused = [
        Failure(row.scene_id, "calibrate", reason.format(row.info.where, row.info.height, row.info.width))
        for row in large
    ]
    return good, refused


def _write(
    run: Run, choice: Choice, start: LabelingProfile, counted: list[CountedScene], config: CalibrateConfig
) -> None:
    """Write profile, record and page, in this order."""
    text = yaml.safe_dump(
        choice.profile.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100
    )
    with replacing(run.root / PROFILE) as temporary:
        temporary.write_text(text, encoding="utf-8")
    write_json(run.root / RECORD, choice.record.model_dump(mode="json"))
    shown = [scene.row for scene in counted[: config.pictures]]
    write_page(run.root / PAGE, run.root, choice.record, shown, config.palette)
    for warning in [*choice.record.warnings, *choice.record.hint_problems]:
        _LOG.warning("%s", warning)


def _forget(run: Run) -> None:
    """Remove what an earlier calibration left, for it is not of these scenes."""
    for name in (PROFILE, RECORD, PAGE):
        (run.root / name).unlink(missing_ok=True)


def summary(run: Run) -> str:
    """Return in a few lines what came out, and what to do next."""
    file = run.root / RECORD
    if not file.is_file():
        return "no scene could be counted, so there is no profile"
    record = Calibration.model_validate_json(file.read_text(encoding="utf-8"))
    best = record.best
    return (
        f"water up to V {best.water_max}, thin ice up to V {best.thin_ice_max} ({record.chosen})\n"
        f"look at: {run.root / PAGE}\n"
        f"then:    python -m jobs.label --scenes … --out RUN --profile {run.root / PROFILE}"
    )
