"""The labelling benchmark's first way: `jobs.label` with labels as the only output."""

from __future__ import annotations

import atexit
import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from unittest.mock import patch

import pandas as pd
from pyspark.sql import SparkSession

import pipelines.label
from benchmarks.labelling.way import Job
from labeling.files.atomic import remove
from pipelines.config import LabelConfig
from pipelines.engine.session import spark_session
from pipelines.engine.settings import SparkSettings


@contextmanager
def ours(job: Job, cores: int) -> Iterator[Callable[[], None]]:
    """Label with Spark on `local[cores]`."""
    atexit.register(gc.freeze)  # as the command does
    settings = SparkSettings(master=f"local[{cores}]")
    with spark_session("polynya benchmark", settings) as spark:
        start_workers(spark, cores)
        # The job would otherwise end the session, and that would count as work.
        with patch("pipelines.label.lazy_session", lambda *_: nullcontext(lambda: spark)):
            yield partial(_label, settings, job)


@contextmanager
def again(job: Job, cores: int) -> Iterator[Callable[[], None]]:
    """Label in a session that has done the same job twice: each of its workers, and Java, have seen it."""
    with ours(job, cores) as work:
        for _ in range(2):
            work()
            remove(job.out)
        yield work


def _label(settings: SparkSettings, job: Job) -> None:
    outcome = pipelines.label.run(
        LabelConfig(
            scenes=[str(scene) for scene in job.scenes],
            out=job.out,
            profile=job.profile,
            outputs=["labels"],
            cut="always" if job.cut else "auto",
            spark=settings,
        )
    )
    if outcome.failures:
        raise RuntimeError(f"labelling failed: {outcome.failures}")


def start_workers(spark: SparkSession, cores: int) -> None:
    """Let a Python worker on every core import our code, which otherwise its first task does."""
    spark.range(0, cores, 1, cores).mapInPandas(_import, "id long").collect()


def _import(frames: Iterable[pd.DataFrame]) -> Iterable[pd.DataFrame]:
    import pipelines.label_worker  # noqa: F401

    yield from frames
