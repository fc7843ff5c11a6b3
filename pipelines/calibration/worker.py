"""Calibration on a worker: the histogram of a scene's brightness, and V at the hints that it holds.

A scene goes through the first two stages of labelling, so what gets no label (no-data, clouds, land) counts
neither here nor there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyspark.sql import types as T

from labeling.grid import Block
from labeling.ice.label import PixelState
from labeling.ice.thresholds import brightness
from labeling.scenes.contract.scene import Scene, SceneInfo
from labeling.scenes.open import open_scene
from labeling.stages.brightness import BrightnessCount
from labeling.stages.planes import MemoryPlanes
from labeling.stages.steps import Recipe, decode, exclude
from pipelines.calibration.hints_file import Hint, HintFile, pixels_of
from pipelines.engine.plan import Cut
from pipelines.engine.rows import Row, each_row
from pipelines.schemas import WORK

COUNTED: Final = T.StructType(
    [
        T.StructField("scene_id", T.StringType(), nullable=False),
        T.StructField("counts", T.ArrayType(T.LongType(), containsNull=False)),
        T.StructField("hints", T.StringType()),
        T.StructField("error", T.StringType()),
    ]
)
"""One row a scene: its histogram of V (256,), and its `HintRead`s as JSON; or the error."""

TASK: Final = T.StructType(WORK.fields[:3])
"""One row a scene to count: id, SceneInfo as JSON, size of the blocks in which it is read."""


class HintRead(NamedTuple):
    """A hint as a scene shows it."""

    number: int
    value: int | None
    """Brightness V; of a polygon the median over its pixels. None where none of them gets a class."""
    why: str
    """Why there is no value: no-data, cloud or land."""
    row: int
    column: int
    """A pixel of it, to find it by."""
    pixels: int
    """How many pixels it stands for, of those that get a class."""


class CountJob(NamedTuple):
    """What every worker needs to know; small, and pickled with the tasks."""

    recipe: Recipe
    hints: HintFile | None


def count_scenes(frames: Iterator[pd.DataFrame], job: CountJob) -> Iterator[pd.DataFrame]:
    """Spark's map step: TASK rows in, COUNTED rows out."""
    yield from each_row(frames, partial(_count, job=job), COUNTED, job.recipe.limits)


def _count(row: Row, job: CountJob) -> Row:
    info, cut = SceneInfo.loads(row["info"]), Cut(**row["cut"]).blocks(SceneInfo.loads(row["info"]))
    planes = MemoryPlanes(height=info.height, width=info.width)
    with open_scene(info.uri, job.recipe.profile.rendering) as scene:
        states = np.sum([decode(scene, block, planes, job.recipe, preview=False) for block in cut], axis=0)
        excluded = exclude(info, cut, states, planes, job.recipe)
        seen = BrightnessCount(info, planes)
        for block in cut:
            seen.add(block, planes.get(excluded.layer, block))
        state = planes.get(excluded.layer, Block(0, 0, info.height, info.width))
        hints = [] if job.hints is None else _read_hints(scene, state, job.hints)
    return {"counts": seen.counts.tolist(), "hints": json.dumps([hint._asdict() for hint in hints])}


def _read_hints(scene: Scene, state: NDArray[np.uint8], file: HintFile) -> list[HintRead]:
    found = (_read_hint(scene, state, hint, file.crs) for hint in file.hints)
    return [hint for hint in found if hint is not None]


def _read_hint(scene: Scene, state: NDArray[np.uint8], hint: Hint, crs: str) -> HintRead | None:
    place = pixels_of(hint, crs, scene.info)
    if place is None:
        return None
    rows, columns = place
    at = int(rows[0]), int(columns[0])
    classed = state[rows, columns] < PixelState.NODATA
    if not classed.any():
        why = PixelState(int(state[at])).name.lower().replace("nodata", "no-data")
        return HintRead(hint.number, None, why, *at, 0)
    top, left = int(rows.min()), int(columns.min())
    block = Block(top, left, int(rows.max()) - top + 1, int(columns.max()) - left + 1)
    value = brightness(scene.read(block).rgb)[rows - top, columns - left]
    return HintRead(hint.number, int(np.median(value[classed])), "", *at, int(classed.sum()))
