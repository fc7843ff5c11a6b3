"""One clear scene on a worker: parts of it under drawn skies, mapped and held against the clear labels."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyspark.sql import types as T

from labeling.chips.skies import draw_sky
from labeling.classes import IceClass
from labeling.errors import SceneError
from labeling.grid import Block
from labeling.ice.label import (
    PixelState,
    class_fractions,
    label_scene,
    label_with_table,
    pixel_state,
    settle_black,
)
from labeling.ice.profile import LabelingProfile
from labeling.masks.limits import LimitSettings
from labeling.scenes.contract.scene import SceneInfo
from labeling.scenes.open import open_scene
from labeling.stages.planes import MemoryPlanes
from pipelines.cuts_worker import Evidence, checked_map, is_clear, keep_opinion
from pipelines.engine.rows import Row, each_row
from pipelines.worker_gpu import predictor
from training.network.metrics import confusion_matrix

SKIES: Final[dict[str, tuple[float, float] | None]] = {
    "clear": None,
    "thin": (0.0, 0.3),
    "heavier": (0.3, 1.0),
}
"""Each kind of sky, and the share of light that its deepest cloud or shadow takes."""

METHODS: Final = ("thresholds", "labels", "network alone", "map")
"""What is held against the clear labels; the last is what jobs.infer makes."""

_MOST_ABSENT: Final = 0.5
"""Share of a part that may have no data, where no limit says another."""

TASK: Final = T.StructType(
    [T.StructField(name, T.StringType(), nullable=False) for name in ("scene_id", "info")]
)
"""A scene to look at."""

FITTED: Final = T.StructType(
    [
        T.StructField("scene_id", T.StringType(), nullable=False),
        T.StructField("counts", T.ArrayType(T.LongType(), containsNull=False)),
        T.StructField("error", T.StringType()),
    ]
)
"""Confusion matrices of a scene (skies, methods, classes, classes), flat, or why there are none."""


class FitJob(NamedTuple):
    """What every worker needs to know; small, and pickled with the tasks."""

    model: Path
    model_digest: str
    multiple: int
    """Sides that the network takes are multiples of this, pixels."""
    profile: LabelingProfile
    window: int
    windows: int
    skies: int
    contradicted: float
    seed: int
    limits: LimitSettings = LimitSettings()


def fit_scenes(frames: Iterator[pd.DataFrame], job: FitJob) -> Iterator[pd.DataFrame]:
    """Spark's map step: TASK rows in, FITTED rows out."""
    yield from each_row(frames, partial(_fit, job=job), FITTED, job.limits)


def _fit(row: Row, job: FitJob) -> Row:
    info = SceneInfo.loads(row["info"])
    total = np.zeros((len(SKIES), len(METHODS), 3, 3), np.int64)
    with open_scene(info.uri, job.profile.rendering) as scene:
        for number, part in enumerate(parts(info, job)):
            rgb, valid, _ = scene.read(part)
            state = pixel_state(rgb, valid)
            settle_black(state, all_nodata=job.limits.black == "nodata")
            seen = state != PixelState.NODATA
            if 1 - seen.mean() > (_MOST_ABSENT if job.limits.nodata is None else job.limits.nodata):
                continue
            rng = np.random.default_rng([job.seed, number, *row["scene_id"].encode()])
            total += count_part(rgb, seen, job, rng)
    if not total.any():
        raise SceneError(f"{info.where} has no part of {job.window} pixels with enough data. Leave it out.")
    return {"counts": total.ravel().tolist()}


def parts(info: SceneInfo, job: FitJob) -> list[Block]:
    """Return parts of a scene, evenly spread, whose sides the network takes."""
    height, width = (
        min(job.window, side) // job.multiple * job.multiple for side in (info.height, info.width)
    )
    if not height or not width:
        raise SceneError(
            f"{info.where} is smaller than {job.multiple} pixels, which the model needs at least."
        )
    rows, columns = info.height // height, info.width // width
    every = [
        Block(row * height, column * width, height, width) for row in range(rows) for column in range(columns)
    ]
    step = max(1, len(every) // job.windows)
    return every[::step][: job.windows]


def count_part(
    rgb: NDArray[np.uint8], seen: NDArray[np.bool_], job: FitJob, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return confusion matrices (skies, methods, 3, 3) of a clear picture, u8 (3, height, width)."""
    thresholds = job.profile.model_copy(update={"thin_clouds": None})
    truth = label_scene(rgb, seen, thresholds)
    found = np.zeros((len(SKIES), len(METHODS), 3, 3), np.int64)
    for sky, depths in enumerate(SKIES.values()):
        for _ in range(1 if depths is None else job.skies):
            picture = rgb if depths is None else _under(rng, rgb, depths, job.profile)
            for method, classes in enumerate(maps_of(picture, seen, job, thresholds)):
                found[sky, method] += confusion_matrix(truth, classes)
    return found


def maps_of(
    rgb: NDArray[np.uint8], seen: NDArray[np.bool_], job: FitJob, thresholds: LabelingProfile
) -> tuple[NDArray[np.uint8], ...]:
    """Return the classes, u8 (height, width), that each of METHODS gives a picture."""
    whole = Block(0, 0, *seen.shape)
    planes = MemoryPlanes(height=whole.height, width=whole.width)
    labels, table = label_with_table(rgb, seen, job.profile)
    assert table.shadow is not None, "a profile with a guard"
    image = np.ascontiguousarray(rgb.transpose(1, 2, 0))
    probabilities = predictor(job.model, job.model_digest).predict(image[np.newaxis])[0]
    keep_opinion(planes, whole, rgb, probabilities, labels, job.profile.thresholds)
    made = labels
    thick = class_fractions(labels)[IceClass.THICK_ICE]
    if not is_clear(table.shadow.soft_area, thick):
        evidence = Evidence.of(job.profile, table.shadow.softness)
        made = checked_map(planes, [whole], ~seen, evidence, job.contradicted).classes(whole)
    alone = probabilities.argmax(axis=-1).astype(np.uint8)
    return label_scene(rgb, seen, thresholds), labels, alone, made


def _under(
    rng: np.random.Generator, rgb: NDArray[np.uint8], depths: tuple[float, float], profile: LabelingProfile
) -> NDArray[np.uint8]:
    drawn = np.array(rgb, order="C")
    draw_sky(rng, drawn, profile.thresholds.thin_ice_max, depths)
    return drawn
