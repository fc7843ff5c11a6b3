"""Maps on a worker: windows go through the network, scenes are put together from their windows' cores."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from labeling.classes import IGNORE
from labeling.grid import Block
from labeling.label import WindowResult, nodata_mask, pixel_state
from labeling.layout import is_done
from labeling.scene import Scene, SceneInfo
from labeling.thresholds import brightness
from labeling.windows import core_of, read_window
from pipelines.scene_parts import (
    SceneOutput,
    ScenePart,
    assemble_state,
    map_parts,
    reduce_parts,
    save_part,
    write_scene_classes,
)
from pipelines.session import records
from training.predict import Predictor

CLASSES = "classes.tif"


class InferJob(NamedTuple):
    """What every worker needs to know; small, and pickled with the tasks."""

    model: Path
    model_digest: str
    """sha256 of model.keras: a map is redone when the model changes."""
    rendering: str
    """The rendering the model was trained on."""
    window: int
    """Side of a window, pixels."""
    margin: int
    folder: Path
    """Where each scene gets a folder with its map."""
    scratch: Path
    palette: str

    def output(self, scene_id: str) -> SceneOutput:
        """Return where a scene's map goes."""
        return SceneOutput(self.folder / scene_id, CLASSES, "map", self.palette, quicklook=True)

    def inputs(self, info: SceneInfo) -> dict[str, Any]:
        """Return what decides a scene's map; a rerun redoes the scene when it changes."""
        return info.identity() | {
            "model": self.model_digest,
            "window": self.window,
            "margin": self.margin,
            "palette": self.palette,
        }

    def is_done(self, scene_id: str, info: SceneInfo) -> bool:
        """Tell whether a scene's map is finished and up to date."""
        output = self.output(scene_id)
        return is_done(output.folder, self.inputs(info), output.files)


def predict_blocks(frames: Iterator[pd.DataFrame], job: InferJob) -> Iterator[pd.DataFrame]:
    """Spark's map step over WORK rows, whose blocks are the cores of windows."""
    for frame in frames:
        for task in records(frame):
            yield pd.DataFrame([predict_task(task, job)])


def predict_task(task: dict[str, Any], job: InferJob) -> dict[str, Any]:
    """Predict one task's windows and leave their cores in scratch files."""

    def map_block(scene: Scene, info: SceneInfo, core: Block, file: Path) -> None:
        rgb, valid = read_window(scene, core, size=job.window, margin=job.margin)
        image = np.ascontiguousarray(rgb.transpose(1, 2, 0))
        probabilities = _predictor(job.model, job.model_digest).predict(image[np.newaxis])[0]
        classes = probabilities.argmax(axis=-1).astype(np.uint8)
        state = pixel_state(brightness(rgb), valid, water_max=0)
        window = WindowResult(*(core_of(part, core, margin=job.margin) for part in (classes, state)))
        save_part(file, core, window, core_of(rgb, core, margin=job.margin), info)

    return map_parts(task, job.rendering, job.scratch, map_block)


def reduce_scene(mapped: pd.DataFrame, job: InferJob) -> pd.DataFrame:
    """Spark's reduce step over the PREDICTED rows of one scene: its map and quicklook."""

    def finish_scene(scene_id: str, info: SceneInfo, parts: list[ScenePart]) -> None:
        ignored = nodata_mask(assemble_state(parts, info))
        write_scene_classes(
            job.output(scene_id),
            scene_id,
            info,
            job.inputs(info),
            parts,
            lambda part: np.where(ignored[part.block.slices], IGNORE, part.window.key).astype(np.uint8),
            ignored,
        )

    return reduce_parts(mapped, job.scratch, job.is_done, finish_scene)


@cache
def _predictor(model: Path, digest: str) -> Predictor:
    """Return the model, loaded once in each worker process; `digest` makes a changed model load anew."""
    # Spark runs a worker on every core already. TensorFlow reads these when it is first imported.
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, "1")
    return Predictor.load(model, batch=1, threads=1)
