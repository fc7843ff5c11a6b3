"""Does a model fit the ice of clear scenes? Asked with Spark, a task a scene.

catalogue -> parts of each scene under a clear, thin and heavier drawn sky -> maps against the clear labels
-> mean IoU by sky -> fits.json, a table, a verdict
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import SparkSession
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from labeling.errors import ConfigError
from labeling.files.atomic import write_json
from labeling.files.layout import Run, make_run
from labeling.files.locks.folder import run_lock
from labeling.ice.profile import LabelingProfile, load_variants
from pipelines.catalog import build_catalog, part_by_rendering, part_by_sun
from pipelines.engine.outcome import Outcome, close_job
from pipelines.engine.progress import progress
from pipelines.engine.scenes import CatalogRow, Failure
from pipelines.engine.session import collect, lazy_session, one_task_each
from pipelines.fits.config import FitsConfig
from pipelines.fits.worker import FITTED, METHODS, SKIES, TASK, FitJob, fit_scenes
from pipelines.worker_gpu import check_executors
from training.folder.card import ModelCard, model_digest, read_model_card
from training.network.metrics import scores

RECORD: Final = "fits.json"

ALLOWED: Final = {"clear": -0.01, "thin": -0.02, "heavier": -0.02}
"""How far, in mean IoU, maps of a model that fits are from the better of thresholds and labels."""

_Counts = dict[str, NDArray[np.int64]]


def run(config: FitsConfig) -> Outcome:
    """Map drawn skies over clear scenes, tell how good the maps are, and write it to `fits.json`."""
    started = time.time()
    card = read_model_card(config.model, "segment")
    profile = _profile(config, card)
    run = make_run(config.out)
    with run_lock(run, "fits"), lazy_session("polynya fits", config.spark) as spark:
        rows, failures = build_catalog(config.scenes, run, config.limits, spark)
        rows, refused = part_by_rendering(rows, card.rendering, "fits", f"the model in {config.model}")
        rows, low = part_by_sun(rows, config.limits, "fits")
        job = FitJob(
            config.model.absolute(),
            model_digest(config.model),
            card.multiple,
            profile,
            **config.model_dump(include={"window", "windows", "skies", "contradicted", "seed"}),
            limits=config.limits,
        )
        counts, lost = _count(spark(), rows, job) if rows else ({}, [])
        if counts:
            _tell(run, counts)
        return close_job(run, "fits", started, config, rows, failures + refused + low + lost)


def _profile(config: FitsConfig, card: ModelCard) -> LabelingProfile:
    """Return the variant of the profile for the model's rendering; ConfigError unless it has a guard."""
    variants = load_variants(config.profile)
    fitting = [profile for profile in variants if profile.rendering == card.rendering and profile.guard]
    if not fitting:
        raise ConfigError(
            f"profile {config.profile} has no variant with a guard for the rendering {card.rendering} of the "
            f"model in {config.model}, and maps are made from such labels. Choose polynya with --profile, or "
            "a profile of that rendering that jobs.calibrate wrote."
        )
    return fitting[0]


def _count(spark: SparkSession, rows: list[CatalogRow], job: FitJob) -> tuple[_Counts, list[Failure]]:
    check_executors(dict(spark.sparkContext.getConf().getAll()))
    work = [{"scene_id": row.scene_id, "info": row.info.dumps()} for row in rows]
    pixels = sum(row.info.height * row.info.width for row in rows)
    with (
        progress("fits", scenes=len(rows), pixels=pixels) as shown,
        shown.wave(spark, scenes=len(rows), pixels=pixels, steps=(("fit",),)),
    ):
        tasks = one_task_each(spark, work, TASK).mapInPandas(partial(fit_scenes, job=job), FITTED)
        found = collect(tasks)
    shape = (len(SKIES), len(METHODS), 3, 3)
    counts = {
        each["scene_id"]: np.array(each["counts"], np.int64).reshape(shape)
        for each in found
        if each["error"] is None
    }
    return counts, [Failure(each["scene_id"], "fits", each["error"]) for each in found if each["error"]]


def _tell(run: Run, counts: _Counts) -> None:
    total = figures(sum(counts.values(), start=np.zeros((len(SKIES), len(METHODS), 3, 3), np.int64)))
    scenes = {scene: figures(found) for scene, found in sorted(counts.items())}
    write_json(run.root / RECORD, {"fits": fits(total), "all": total, "scenes": scenes})
    table = Table("sky", *METHODS, "map above the better rule", title="mean IoU", box=MARKDOWN)
    for sky, found in total.items():
        table.add_row(sky, *(f"{found[name]:.3f}" for name in METHODS), f"{gain(found):+.3f}")
    Console().print(table)
    unfit = [scene for scene, found in scenes.items() if not fits(found)]
    print(f"fits: {verdict(total)}")
    if unfit:
        print(f"fits: does not fit by itself: {', '.join(unfit)}")


def figures(counts: NDArray[np.int64]) -> dict[str, dict[str, float]]:
    """Return the mean IoU of each sky and method, from confusion matrices (skies, methods, 3, 3)."""
    return {
        sky: {name: _mean_iou(matrix) for name, matrix in zip(METHODS, by_method, strict=True)}
        for sky, by_method in zip(SKIES, counts, strict=True)
    }


def _mean_iou(matrix: NDArray[np.int64]) -> float:
    return round(scores(matrix).mean_iou, 4)


def gain(found: dict[str, Any]) -> float:
    """Return how far a sky's map is above the better of thresholds and labels."""
    return float(found["map"] - max(found["thresholds"], found["labels"]))


def fits(found: dict[str, dict[str, float]]) -> bool:
    """Tell whether maps do no harm under any sky."""
    return all(gain(found[sky]) >= least for sky, least in ALLOWED.items())


def verdict(found: dict[str, dict[str, float]]) -> str:
    """Return in a sentence whether a model fits this ice, and the way out where it does not."""
    if not fits(found):
        worst = min(ALLOWED, key=lambda sky: gain(found[sky]) - ALLOWED[sky])
        return (
            f"the model does not fit this ice: under a {worst} sky its maps are {-gain(found[worst]):.3f} "
            "below the better of thresholds and labels. Use the labels, or train on such ice "
            "(jobs/conf/train-skies.yaml)."
        )
    gains = ", ".join(f"{gain(found[sky]):+.3f} {sky}" for sky in ALLOWED)
    return f"the model fits this ice (against the better of thresholds and labels: {gains})"
