"""Labelling with Spark: scenes are done whole, a task each, or cut into blocks that spread over all cores.

catalogue -> plan -> whole scenes: (map) labels.tif, with one thread each or one scene with all threads
                  -> cut scenes:   (map) decode blocks -> (reduce a scene) exclude
                                   (map) compare blocks -> (reduce a scene) table, labels.tif
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from pyspark import SparkContext
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql.types import StructType

from labeling.files.atomic import remove
from labeling.files.layout import Run, make_run, remove_leftovers
from labeling.files.locks.folder import run_lock
from labeling.grid import Block
from labeling.ice.profile import LabelingProfile, load_variants
from labeling.masks.land import checked
from labeling.scenes.contract.scene import SceneInfo
from labeling.stages.steps import Recipe
from labeling.uncollected import uncollected
from pipelines.catalog import build_catalog, part_by_folder, part_by_sun, write_catalog
from pipelines.chips import CUT_FROM
from pipelines.config import LabelConfig
from pipelines.doubts import tell_doubts
from pipelines.engine.isolate import Label, isolating
from pipelines.engine.outcome import Outcome, close_job
from pipelines.engine.plan import Plan, PlannedScene, make_plan
from pipelines.engine.progress import progress
from pipelines.engine.scenes import CatalogRow, Failure
from pipelines.engine.session import collect, lazy_session, one_task_each
from pipelines.engine.size import part_by_size
from pipelines.kinds import cut_chips, part_by_profile
from pipelines.label_worker import (
    LabelJob,
    compare_tasks,
    decode_tasks,
    exclude_scene,
    label_whole_scenes,
    write_scene,
)
from pipelines.many.batches import batch_size, batches, shared_tasks
from pipelines.many.looks import of_each
from pipelines.many.marks import Marks
from pipelines.schemas import COMPARED, DECODED, EXCLUDED, OUTCOME, WORK

Steps = tuple[tuple[str, ...], ...]

_LOG = logging.getLogger("polynya.label")


def run(config: LabelConfig) -> Outcome:
    """Label every scene that is not finished, then cut chips; write what failed to failures.jsonl."""
    started = time.time()
    profiles = load_variants(config.profile)
    run = make_run(config.out)
    with run_lock(run, "label"):
        return _label(config, profiles, run, started)


def _label(config: LabelConfig, profiles: list[LabelingProfile], run: Run, started: float) -> Outcome:
    with lazy_session("polynya label", config.spark) as spark:
        rows, failures = build_catalog(config.scenes, run, config.limits, spark)
        kinds, refused = part_by_profile(rows, profiles)
        failures += refused
        rows = [row for kind in kinds for row in kind.rows]
        write_catalog(rows, run)
        jobs = [_job(config, kind.profile, run) for kind in kinds]
        marks = Marks(run.root / "labels", CUT_FROM)
        _clean(run)
        for kind, job in zip(kinds, jobs, strict=True):
            failures += label_scenes(spark, kind.rows, job, config, marks)
        if "chips" in config.outputs:
            failed = {failure.scene for failure in failures}
            failures += cut_chips(spark, kinds, failed, run, config.chips, config.limits, marks)
    # Of tasks that were killed, or had lost to another attempt and were late.
    _clean(run)
    failed = {failure.scene for failure in failures if failure.step == "label"}
    tell_doubts(marks, [row.scene_id for row in rows if row.scene_id not in failed])
    return close_job(run, "label", started, config, rows, failures)


def _job(config: LabelConfig, profile: LabelingProfile, run: Run) -> LabelJob:
    return LabelJob(
        recipe=Recipe(profile, config.limits, checked(config.land), config.clouds),
        folder=run.root / "labels",
        scratch=run.scratch / "label",
        quicklook="quicklook" in config.outputs,
        palette=config.palette,
    )


def _clean(run: Run) -> None:
    remove_leftovers(run, run.root / "labels", run.scratch / "label")


def label_scenes(
    spark: Callable[[], SparkSession],
    rows: list[CatalogRow],
    job: LabelJob,
    config: LabelConfig,
    marks: Marks,
) -> list[Failure]:
    """Label the scenes that are not finished yet; return those that could not be.

    Of those that are finished `marks` keeps what their marks say.
    """
    rows, failures = part_by_sun(rows, job.recipe.limits, "label")
    rows, elsewhere = part_by_folder(rows, job.folder, "label")
    failures += elsewhere
    todo, refused = part_by_size(
        unfinished(rows, job, marks),
        memory=config.spark.worker_memory,
        scratch=config.spark.scratch,
    )
    failures += refused
    if not todo:
        return failures
    plan = plan_scenes(todo, spark().sparkContext, config)
    _LOG.info("plan: %s", plan, extra={"scenes": len(todo)})
    try:
        with progress("label", scenes=len(todo), pixels=sum(map(_pixels, todo))) as shown:
            for scenes, label, steps in _works(plan, batch_size(spark())):
                pixels = sum(_pixels(scene.row) for scene in scenes)
                with shown.wave(spark(), scenes=len(scenes), pixels=pixels, steps=steps):
                    failed = isolating(label, spark(), scenes, job)
                shown.failed(len(failed))
                failures += failed
                remove(job.scratch)
    finally:
        remove(job.scratch)
    return failures


@uncollected()
def unfinished(rows: list[CatalogRow], job: LabelJob, marks: Marks) -> list[CatalogRow]:
    """Return the scenes whose labels are not finished or not up to date, in their order."""
    finished = job.finished()
    todo = []
    for row, done in of_each(lambda row: finished(row.scene_id, row.info), rows, job.folder):
        if done is None:
            todo.append(row)
        else:
            marks.keep(row.scene_id, done)
    return todo


def _works(plan: Plan, most: int) -> Iterator[tuple[list[PlannedScene], Label[LabelJob], Steps]]:
    """Yield what is done at one time, how, and its steps by Spark job, for the display.

    Of whole scenes those are `most` at a time.
    """
    for scenes in batches(plan.whole, most):
        yield scenes, label_whole, (("label",),)
    for scene in plan.threaded:
        yield [scene], label_threaded, (("label",),)
    for wave in plan.waves:
        yield wave, label_wave, (("decode", "exclude"), ("compare", "write"))


def _pixels(row: CatalogRow) -> int:
    return row.info.height * row.info.width


def plan_scenes(rows: list[CatalogRow], context: SparkContext, config: LabelConfig) -> Plan:
    """Plan for the cores of the session and the memory and disk of the configuration."""
    return make_plan(
        rows,
        cores=context.defaultParallelism,
        one_machine=re.fullmatch(r"local(\[.*\])?", context.master or "") is not None,
        memory=config.spark.worker_memory,
        scratch=config.spark.scratch,
        block_size=config.block_size,
        cut=config.cut,
    )


def label_whole(spark: SparkSession, scenes: list[PlannedScene], job: LabelJob) -> list[Failure]:
    """Label each scene in one go; a task does one scene, or some where there are many."""
    tasks = shared_tasks(spark, [task_of(scene) for scene in scenes], WORK)
    return _failures(collect(tasks.mapInPandas(partial(label_whole_scenes, job=job), OUTCOME)))


def label_threaded(spark: SparkSession, scenes: list[PlannedScene], job: LabelJob) -> list[Failure]:
    """Label each scene in one task, with threads on all cores."""
    return label_whole(spark, scenes, job._replace(threads=spark.sparkContext.defaultParallelism))


def label_wave(spark: SparkSession, scenes: list[PlannedScene], job: LabelJob) -> list[Failure]:
    """Label scenes that are cut, all at one time: their blocks share the cores."""
    job = job._replace(threads=max(1, spark.sparkContext.defaultParallelism // len(scenes)))
    tasks = [task_of(scene, block) for scene in scenes for block in scene.cut.blocks(scene.row.info)]
    # What only decodes from its top is decoded by one task, once.
    reading = [task for task in tasks if SceneInfo.loads(task["info"]).windowed]
    reading += [task_of(scene) for scene in scenes if not scene.row.info.windowed]
    decoded = _tasks(spark, reading).mapInPandas(partial(decode_tasks, job=job), DECODED)
    excluded = _by_scene(decoded, len(scenes), partial(exclude_scene, job=job), EXCLUDED)
    states = {row["scene_id"]: row["excluded"] for row in excluded if row["error"] is None}
    tasks = [task | {"excluded": states[task["scene_id"]]} for task in tasks if task["scene_id"] in states]
    if not tasks:
        return _failures(excluded)
    if job.recipe.profile.thin_clouds is None:  # nothing to compare: a row a scene leads on to writing
        tasks = list({task["scene_id"]: task for task in tasks}.values())
    compared = _tasks(spark, tasks).mapInPandas(partial(compare_tasks, job=job), COMPARED)
    written = _by_scene(compared, len(states), partial(write_scene, job=job), OUTCOME)
    return _failures(excluded) + _failures(written)


def task_of(scene: PlannedScene, block: Block | None = None) -> dict[str, Any]:
    """Return a row of WORK: a block of a scene, or the whole of it."""
    rows, columns = scene.cut
    info = scene.row.info
    return {
        "scene_id": scene.row.scene_id,
        "info": info.dumps(),
        "cut": {"rows": rows, "columns": columns},
        "block": (block or Block(0, 0, info.height, info.width))._asdict(),
        "excluded": None,
    }


def _tasks(spark: SparkSession, work: list[dict[str, Any]]) -> DataFrame:
    return one_task_each(spark, work, WORK)


def _by_scene(frame: DataFrame, count: int, reduce: Callable[..., Any], schema: StructType) -> list[Row]:
    """Reduce the rows of each of `count` scenes to one, on the workers."""
    # More partitions than scenes: hashing would otherwise give one task several scenes.
    scenes = frame.repartition(3 * count, "scene_id").groupBy("scene_id")
    return collect(scenes.applyInPandas(reduce, schema))


def _failures(rows: list[Row]) -> list[Failure]:
    return [Failure(row["scene_id"], "label", row["error"]) for row in rows if row["error"] is not None]
