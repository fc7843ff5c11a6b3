"""Labelling on a worker: the stages of labeling/stages/steps.py as Spark's map and reduce functions.

What crosses to a worker is a LabelJob and rows of paths, windows and counts. A scene's layers lie in the
run's scratch folder between the tasks; a failure becomes the row's error, so that it stops its scene only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from labeling.files.layout import LABELS, finished_mark, own_folder
from labeling.files.storage import AnyPath
from labeling.grid import Block
from labeling.ice.scene_sums import SceneSums
from labeling.results.output import SceneOutput
from labeling.scenes.contract.scene import SceneInfo
from labeling.scenes.open import open_scene
from labeling.stages import steps
from labeling.stages.planes import FilePlanes
from labeling.stages.steps import Excluded, Recipe
from labeling.stages.whole import label_whole
from pipelines.engine.plan import Cut
from pipelines.engine.rows import Row, each_row, one_row
from pipelines.schemas import COMPARED, DECODED, EXCLUDED, OUTCOME


class LabelJob(NamedTuple):
    """What every worker needs to know; small, and pickled with the tasks."""

    recipe: Recipe
    folder: AnyPath
    """Where each scene gets a folder with its labels."""
    scratch: AnyPath
    quicklook: bool
    palette: str
    threads: int = 1
    """Threads that work on one scene: on all of it where it is done whole, else on writing its labels."""

    def output(self, scene_id: str) -> SceneOutput:
        """Return where a scene's labels go."""
        return SceneOutput(own_folder(self.folder, scene_id), LABELS, "labels", self.palette, self.quicklook)

    def shared(self, row: Row) -> AnyPath:
        """Return the folder in which tasks on a scene that is cut leave word for each other."""
        scene_id: str = row["scene_id"]
        return self.scratch / scene_id

    def is_done(self, scene_id: str, info: SceneInfo) -> bool:
        """Tell whether a scene's labels are finished and up to date."""
        return self.finished()(scene_id, info) is not None

    def finished(self) -> Callable[[str, SceneInfo], dict[str, Any] | None]:
        """Return what returns a scene's mark where its labels are finished and up to date, and else None.

        To ask of many scenes: what decides the labels of all is made once.
        """
        # As JSON has it, like the marks that it is compared with.
        deciding = json.loads(json.dumps(self.recipe.deciding | {"palette": self.palette}))
        files = self.output("_").files + self.recipe.extras
        return lambda scene_id, info: finished_mark(
            own_folder(self.folder, scene_id), info.identity() | deciding, files
        )


class _Task(NamedTuple):
    """A row of WORK or of what follows from it."""

    scene_id: str
    info: SceneInfo
    cut: Cut

    @classmethod
    def of(cls, row: Row) -> _Task:
        return cls(row["scene_id"], SceneInfo.loads(row["info"]), Cut(**row["cut"]))

    def planes(self, job: LabelJob) -> FilePlanes:
        shape = {"height": self.info.height, "width": self.info.width}
        return FilePlanes(job.scratch / self.scene_id, **shape, **self.cut._asdict())


# --- whole scenes ---


def label_whole_scenes(frames: Iterator[pd.DataFrame], job: LabelJob) -> Iterator[pd.DataFrame]:
    """Spark's map step over scenes that one task does: WORK rows in, OUTCOME rows out."""
    yield from each_row(frames, partial(_label_whole, job=job), OUTCOME, job.recipe.limits)


def _label_whole(row: Row, job: LabelJob) -> Row:
    scene_id, info, cut = _Task.of(row)
    if not job.is_done(scene_id, info):
        opened = partial(open_scene, info.uri, job.recipe.profile.rendering)
        output = job.output(scene_id)
        label_whole(scene_id, info, opened, cut.blocks(info), job.recipe, output, job.threads)
    return {}


# --- map: blocks of scenes that are cut ---


def decode_tasks(frames: Iterator[pd.DataFrame], job: LabelJob) -> Iterator[pd.DataFrame]:
    """Spark's first map step: WORK rows in, DECODED rows out."""
    yield from each_row(frames, partial(_decode, job=job), DECODED, job.recipe.limits, job.shared)


def _decode(row: Row, job: LabelJob) -> Row:
    task, area = _Task.of(row), Block(**row["block"])
    blocks = [block for block in task.cut.blocks(task.info) if area.holds(block)]
    with open_scene(task.info.uri, job.recipe.profile.rendering) as scene:
        planes = task.planes(job)
        counts = [steps.decode(scene, block, planes, job.recipe, preview=job.quicklook) for block in blocks]
    return {"states": np.sum(counts, axis=0).tolist()}


def compare_tasks(frames: Iterator[pd.DataFrame], job: LabelJob) -> Iterator[pd.DataFrame]:
    """Spark's second map step: WORK rows in, COMPARED rows out."""
    yield from each_row(frames, partial(_compare, job=job), COMPARED, job.recipe.limits, job.shared)


def _compare(row: Row, job: LabelJob) -> Row:
    task, excluded = _Task.of(row), Excluded(**json.loads(row["excluded"]))
    if job.recipe.profile.thin_clouds is None:
        return {"sums": None}
    block, planes = Block(**row["block"]), task.planes(job)
    return {"sums": steps.compare_block(task.info, block, excluded.layer, planes, job.recipe).dumps()}


# --- reduce: scenes that are cut ---


def exclude_scene(decoded: pd.DataFrame, job: LabelJob) -> pd.DataFrame:
    """Spark's first reduce step: the DECODED rows of one scene in, its EXCLUDED row out."""

    def exclude(rows: list[Row]) -> Row:
        task = _Task.of(rows[0])
        cut = task.cut.blocks(task.info)
        counts = np.sum([row["states"] for row in rows], axis=0, dtype=np.int64)
        found = steps.exclude(task.info, cut, counts, task.planes(job), job.recipe)
        return {"excluded": json.dumps(found._asdict())}

    return one_row(decoded, exclude, EXCLUDED, job.recipe.limits)


def write_scene(compared: pd.DataFrame, job: LabelJob) -> pd.DataFrame:
    """Spark's second reduce step: the COMPARED rows of one scene in, its labels written, OUTCOME out."""

    def write(rows: list[Row]) -> Row:
        task = _Task.of(rows[0])
        if job.is_done(task.scene_id, task.info):  # a task that runs again after it had finished
            return {}
        parts = (SceneSums.loads(row["sums"]) for row in rows if row["sums"] is not None)
        steps.write(
            task.scene_id,
            task.info,
            task.cut.blocks(task.info),
            Excluded(**json.loads(rows[0]["excluded"])),
            sum(parts, start=SceneSums.none()),
            task.planes(job),
            job.recipe,
            job.output(task.scene_id),
            job.threads,
        )
        return {}

    return one_row(compared, write, OUTCOME, job.recipe.limits)
