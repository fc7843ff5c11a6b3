"""Maps with Spark: scenes go through a trained network band by band and come out as class rasters.

scenes -> strips -> (map) network, labels, or both -> (reduce, one task a scene) maps/<scene_id>/classes.tif
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, Final

from pyspark.sql import SparkSession

from labeling.errors import ModelError
from labeling.files.atomic import remove
from labeling.files.layout import Run, make_run, remove_leftovers
from labeling.files.locks.folder import run_lock
from labeling.masks.land import checked
from labeling.results.layers import LAYERS
from pipelines.catalog import build_catalog, part_by_folder, part_by_rendering, part_by_sun
from pipelines.config import InferConfig
from pipelines.doubts import tell_doubts
from pipelines.engine.isolate import halving
from pipelines.engine.outcome import Outcome, close_job
from pipelines.engine.progress import progress
from pipelines.engine.rows import forget_time
from pipelines.engine.scenes import CatalogRow, Failure
from pipelines.engine.session import collect, lazy_session, one_task_each
from pipelines.infer_worker import InferJob, predict_tasks, write_scene
from pipelines.many.batches import batches
from pipelines.many.looks import of_each
from pipelines.many.marks import Marks
from pipelines.map_sources import MapRow, choose_sources
from pipelines.schemas import OUTCOME, PREDICTED, WINDOWS
from pipelines.worker_gpu import check_executors
from training.folder.card import ModelCard, model_digest, read_model_card
from training.folder.network import blame
from training.predict import band_rows, sweep_columns

_MOST_PIXELS: Final = 1 << 34
"""Pixels that are mapped at one time, over all scenes: those of 142 granules."""

_LEAST_PIXELS: Final = 1 << 22
"""Pixels that a scene counts for at least: what is told of it takes memory too."""


def run(config: InferConfig, known: Sequence[CatalogRow] | None = None) -> Outcome:
    """Map every scene that is not finished; write what failed to failures.jsonl.

    `known` is the run's catalogue where it has been read already.
    """
    started = time.time()
    card = read_model_card(config.model, "segment")
    run = make_run(config.out)
    with run_lock(run, "infer"), lazy_session("polynya infer", config.spark) as spark:
        return _infer(config, card, run, started, spark, known)


def _infer(
    config: InferConfig,
    card: ModelCard,
    run: Run,
    started: float,
    spark: Callable[[], SparkSession],
    known: Sequence[CatalogRow] | None,
) -> Outcome:
    rows, failures = build_catalog(config.scenes, run, config.limits, spark, known)
    rows, refused = part_by_rendering(rows, card.rendering, "infer", f"the model in {config.model}")
    if refused and not rows:  # then the model is the wrong one, not the scenes
        raise ModelError(refused[0].reason)
    job = InferJob(
        model=config.model.absolute(),
        model_digest=model_digest(config.model),
        rendering=card.rendering,
        rows=band_rows(card),
        columns=config.columns or sweep_columns(card, memory=config.spark.worker_memory),
        cell=card.multiple,
        folder=run.root / "maps",
        labels=run.root / "labels",
        scratch=run.scratch / "infer",
        palette=config.palette,
        land=checked(config.land),
        limits=config.limits,
        contradicted=config.contradicted,
        layers=tuple(name for name in LAYERS if name in config.outputs),
        precision=config.precision,
    )
    rows, low = part_by_sun(rows, config.limits, "infer")
    rows, elsewhere = part_by_folder(rows, job.folder, "infer")
    remove_leftovers(run, job.folder, job.scratch)
    scenes, unlabelled = choose_sources(rows, run, card.rendering, checked=config.network == "checked")
    refused += low + elsewhere + unlabelled
    todo = [scene for scene, ended in of_each(job.is_done, scenes, run.root) if not ended]
    failures += refused + (map_scenes(spark(), todo, job) if todo else [])
    broken = [failure.reason for failure in failures if failure.reason.startswith(blame(job.model))]
    if broken:  # then it is the model, not the scenes
        raise ModelError(broken[0])
    # Of tasks that were killed, or had lost to another attempt and were late.
    remove_leftovers(run, job.folder, job.scratch)
    failed = {failure.scene for failure in failures}
    tell_doubts(
        Marks(job.folder), [scene.scene_id for scene in scenes if scene.scene_id not in failed], "mapped"
    )
    return close_job(run, "infer", started, config, rows, failures)


def map_scenes(spark: SparkSession, rows: list[MapRow], job: InferJob) -> list[Failure]:
    """Map the scenes; return those that could not be."""
    check_executors(dict(spark.sparkContext.getConf().getAll()))
    failures: list[Failure] = []
    with progress("infer", scenes=len(rows), pixels=sum(map(_pixels, rows))) as shown:
        # The tasks of very many scenes would fill the driver's memory, and their opinions the disk.
        for some in batches(rows, _MOST_PIXELS, weight=lambda row: max(_pixels(row), _LEAST_PIXELS)):
            pixels = sum(map(_pixels, some))
            work = partial(_map_batch, spark, job, set())
            try:
                with shown.wave(spark, scenes=len(some), pixels=pixels, steps=(("predict", "write"),)):
                    failed = halving(work, spark, some, _lost)
            finally:
                remove(job.scratch)
            shown.failed(len(failed))
            failures += failed
    return failures


def _map_batch(spark: SparkSession, job: InferJob, tried: set[str], rows: list[MapRow]) -> list[Failure]:
    # Some were finished before Spark gave up on another.
    rows = [row for row, ended in of_each(job.is_done, rows, job.folder) if not ended]
    if not rows:
        return []
    for row in rows:
        if row.scene_id in tried:  # an attempt that Spark gave up may have cut it otherwise
            forget_time(job.scratch / row.scene_id)
        tried.add(row.scene_id)
    work = plan_work(rows, job, spark.sparkContext.defaultParallelism)
    tasks = one_task_each(spark, work, WINDOWS)
    predicted = tasks.mapInPandas(partial(predict_tasks, job=job), PREDICTED)
    scenes = predicted.repartition(3 * len(rows), "scene_id").groupBy("scene_id")
    outcomes = collect(scenes.applyInPandas(partial(write_scene, job=job), OUTCOME))
    return [Failure(row.scene_id, "infer", row.error) for row in outcomes if row.error is not None]


def _lost(row: MapRow, found: str) -> list[Failure]:
    reason = (
        f"{row.info.where} could not be mapped: its worker failed each time it was tried{found}. If it ran "
        "out of memory, give workers more (spark.worker_memory, spark.executor.memoryOverhead), or let fewer "
        "work at a time (--master local[1])."
    )
    return [Failure(row.scene_id, "infer", reason)]


def _pixels(row: MapRow) -> int:
    return row.info.height * row.info.width


def plan_work(rows: list[MapRow], job: InferJob, parallelism: int) -> list[dict[str, Any]]:
    """Cut scenes into tasks: strips of full height, or parts of them where there are more cores than strips.

    Every part begins with a margin that is computed for nothing, so there are no more than cores ask for.
    """
    tasks = []
    strips = [(row, strip) for row in rows for strip in job.strips(row.info)]
    share = -(-parallelism // max(1, len(strips)))
    for row, strip in strips:
        parts = min(len(strip), share)
        bounds = [len(strip) * part // parts for part in range(parts + 1)]
        tasks += [
            {
                "scene_id": row.scene_id,
                "info": row.info.dumps(),
                "source": row.source,
                "labels": row.labels,
                "blocks": [block._asdict() for block in strip[start:stop]],
            }
            for start, stop in pairwise(bounds)
        ]
    return tasks
