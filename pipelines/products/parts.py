"""Parts of a product, one a scene or a block: made by Spark, kept, made again when something changed.

A part is a folder with its files and done.json. Who puts the product together reads them; so a product of
200 scenes to which one comes is 200 parts read and one made.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import pandas as pd
from pyspark.sql import SparkSession
from pyspark.sql import types as T

from labeling.files.atomic import remove
from labeling.files.layout import DONE, is_done, own_folder, write_done
from labeling.files.storage import AnyPath
from labeling.masks.limits import LimitSettings
from pipelines.engine.progress import progress
from pipelines.engine.rows import Row, each_row
from pipelines.engine.scenes import Failure
from pipelines.engine.session import collect, one_task_each
from pipelines.schemas import OUTCOME

TASK: Final = T.StructType(
    [T.StructField(name, T.StringType(), nullable=False) for name in ("scene_id", "inputs", "task")]
)
"""A part to make: its name, what decides it, and what its maker is told, both JSON."""


class Part(NamedTuple):
    """A part of a product."""

    name: str
    """Of a scene, or of a block: names its folder, so it has the form of a scene's id."""
    inputs: dict[str, Any]
    """What decides it; it is made anew when that changes."""
    task: dict[str, Any]
    """What its maker is told; JSON."""
    pixels: int
    """How much work it is."""


Fill = Callable[[dict[str, Any], AnyPath], dict[str, Any]]
"""Writes the files of a part, atomically, from its task into a folder; returns facts for its mark. It crosses
to workers by pickle."""


class PartJob(NamedTuple):
    """What every worker needs to know; small, and pickled with the tasks."""

    folder: AnyPath
    files: Sequence[str]
    """What a finished part has."""
    fill: Fill
    limits: LimitSettings

    def is_done(self, part: Part) -> bool:
        """Tell whether a part is finished and up to date."""
        return is_done(self.folder / part.name, part.inputs, self.files)


def make_parts(
    spark: Callable[[], SparkSession], job: PartJob, parts: Sequence[Part], title: str
) -> list[Failure]:
    """Make what is missing or has changed of `parts`, a Spark task each; return those that could not be."""
    todo = [part for part in parts if not job.is_done(part)]
    if not todo:
        return []
    work = [
        {"scene_id": part.name, "inputs": json.dumps(part.inputs), "task": json.dumps(part.task)}
        for part in todo
    ]
    pixels = sum(part.pixels for part in todo)
    with (
        progress(title, scenes=len(todo), pixels=pixels) as shown,
        shown.wave(spark(), scenes=len(todo), pixels=pixels, steps=((title,),)),
    ):
        tasks = one_task_each(spark(), work, TASK).mapInPandas(partial(fill_parts, job=job), OUTCOME)
        outcomes = collect(tasks)
    return [Failure(row.scene_id, title, row.error) for row in outcomes if row.error is not None]


def fill_parts(frames: Iterator[pd.DataFrame], job: PartJob) -> Iterator[pd.DataFrame]:
    """Spark's map step: TASK rows in, OUTCOME rows out."""
    yield from each_row(frames, partial(_fill, job=job), OUTCOME, job.limits)


def _fill(row: Row, job: PartJob) -> Row:
    folder, inputs = own_folder(job.folder, row["scene_id"]), json.loads(row["inputs"])
    if not is_done(folder, inputs, job.files):  # a task that runs again after it had finished
        remove(folder / DONE)
        facts = job.fill(json.loads(row["task"]), folder)
        write_done(folder, inputs, list(job.files), **facts)
    return {}


def prune(folder: AnyPath, parts: Sequence[Part]) -> None:
    """Remove what is no part any more: of scenes that are gone, of blocks of another grid."""
    if not isinstance(folder, Path) or not folder.is_dir():
        return  # in a bucket names cannot be listed as folders, and what is left there is read by nobody
    names = {part.name for part in parts}
    for path in folder.iterdir():
        if path.name not in names:
            remove(path)
