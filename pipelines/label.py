"""Labelling with Spark: blocks map to keys and histograms, scenes reduce to one table and their labels.

catalogue -> blocks with halo -> (map) difference + histogram -> (reduce, one task a scene) labels.tif
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from pyspark.sql import SparkSession

from labeling.grid import blocks
from labeling.layout import make_run
from labeling.profile import load_profile
from labeling.raster import remove
from pipelines.catalog import CatalogRow, Failure, build_catalog, part_by_rendering, write_catalog
from pipelines.chips import make_chips
from pipelines.config import LabelConfig
from pipelines.label_worker import LabelJob, map_blocks, reduce_scene
from pipelines.outcome import Outcome, close_job
from pipelines.schemas import MAPPED, OUTCOME, WORK
from pipelines.session import lazy_session, one_task_each


def run(config: LabelConfig) -> Outcome:
    """Label every scene that is not finished, then cut chips; write what failed to failures.jsonl."""
    started = time.time()
    profile = load_profile(config.profile)
    run = make_run(config.out)
    rows, failures = build_catalog(config.scenes, run)
    rows, refused = part_by_rendering(rows, profile.rendering, "label", f"profile {profile.name}")
    write_catalog(rows, run)
    job = LabelJob(
        profile=profile,
        folder=run.root / "labels",
        scratch=run.scratch / "label",
        block_size=config.block_size,
        quicklook="quicklook" in config.outputs,
        palette=config.palette,
    )
    with lazy_session("polynya label", config.spark) as spark:
        failures += refused + label_scenes(spark, rows, job)
        failed = {failure.scene for failure in failures}
        labelled = [row for row in rows if row.scene_id not in failed]
        if "chips" in config.outputs:
            failures += make_chips(spark, labelled, run, profile, config.chips)
    return close_job(run, "label", started, config, rows, failures)


def label_scenes(spark: Callable[[], SparkSession], rows: list[CatalogRow], job: LabelJob) -> list[Failure]:
    """Label the scenes that are not finished yet; return those that could not be."""
    todo = [row for row in rows if not job.is_done(row.scene_id, row.info)]
    if not todo:
        return []
    work = plan_work(todo, job)
    tasks = one_task_each(spark().createDataFrame(work, WORK), len(work))
    mapped = tasks.mapInPandas(partial(map_blocks, job=job), MAPPED)
    scenes = mapped.repartition(len(todo), "scene_id").groupBy("scene_id")
    outcomes = scenes.applyInPandas(partial(reduce_scene, job=job), OUTCOME).collect()
    remove(job.scratch)
    return [Failure(row.scene_id, "label", row.error) for row in outcomes if row.error is not None]


def plan_work(rows: list[CatalogRow], job: LabelJob) -> list[dict[str, Any]]:
    """Cut scenes into tasks: a row of blocks each, which share decoded pixels through GDAL's cache.

    A picture that can only be decoded from its top is one task, so that it is decoded once.
    """
    tasks = []
    for scene_id, info in rows:
        cut = [b._asdict() for b in blocks(height=info.height, width=info.width, size=job.block_size)]
        per_row = -(-info.width // job.block_size)
        step = per_row if info.windowed else len(cut)
        tasks += [
            {"scene_id": scene_id, "info": info.dumps(), "blocks": cut[start : start + step]}
            for start in range(0, len(cut), step)
        ]
    return tasks
