"""Maps on a worker: windows get classes by the network or from labels, scenes are put together from cores."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rasterio.io import DatasetReader

from labeling import scene_output
from labeling.classes import IGNORE
from labeling.errors import SceneError
from labeling.grid import Block, blocks
from labeling.label import PixelState, pixel_state, settle_black
from labeling.land_settings import LandSettings
from labeling.layout import is_done
from labeling.limits import LimitSettings, check_nodata
from labeling.planes import FilePlanes
from labeling.raster import open_raster
from labeling.scene import Scene, SceneInfo, open_scene
from labeling.scene_land import find_land, land_inputs
from labeling.scene_output import SceneOutput, sample
from labeling.storage import AnyPath
from labeling.windows import core_of, read_window
from pipelines.label_worker import LABELS
from pipelines.rows import Row, each_row, one_row
from pipelines.schemas import OUTCOME, PREDICTED
from training.predict import Predictor

CLASSES = "classes.tif"
_CLASS, _STATE, _PREVIEW = "class", "state", "preview"


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
    folder: AnyPath
    """Where each scene gets a folder with its map."""
    labels: AnyPath
    """Where each scene may have a folder with its labels."""
    scratch: AnyPath
    palette: str
    land: LandSettings = LandSettings()
    limits: LimitSettings = LimitSettings()

    def output(self, scene_id: str) -> SceneOutput:
        """Return where a scene's map goes."""
        return SceneOutput(self.folder / scene_id, CLASSES, "map", self.palette, quicklook=True)

    def inputs(self, info: SceneInfo, labels: str | None) -> dict[str, Any]:
        """Return what decides a scene's map; a rerun redoes the scene when it changes.

        `labels` says which state of the scene's labels is the map, None that the network draws it.
        """
        network = {"model": self.model_digest, "window": self.window, "margin": self.margin}
        settings = {
            "palette": self.palette,
            "land": land_inputs(self.land),
            "limits": self.limits.model_dump(),
        }
        return info.identity() | settings | (network if labels is None else {"labels": labels})

    def is_done(self, scene_id: str, info: SceneInfo, labels: str | None) -> bool:
        """Tell whether a scene's map is finished and up to date; `labels` as for `inputs`."""
        output = self.output(scene_id)
        return is_done(output.folder, self.inputs(info, labels), output.files)

    def planes(self, scene_id: str, info: SceneInfo) -> FilePlanes:
        """Return where the cores of a scene's windows wait for each other."""
        side = self.window - 2 * self.margin
        shape = {"height": info.height, "width": info.width}
        return FilePlanes(self.scratch / scene_id, **shape, rows=side, columns=side)


def predict_tasks(frames: Iterator[pd.DataFrame], job: InferJob) -> Iterator[pd.DataFrame]:
    """Spark's map step: WINDOWS rows in, PREDICTED rows out."""
    yield from each_row(frames, partial(_predict, job=job), PREDICTED)


def _predict(row: Row, job: InferJob) -> Row:
    info = SceneInfo.loads(row["info"])
    planes = job.planes(row["scene_id"], info)
    with ExitStack() as stack:
        scene = stack.enter_context(open_scene(info.uri, job.rendering))
        window = partial(_predict_window, job=job)
        if row["labels"] is not None:
            labels = stack.enter_context(open_raster(job.labels / row["scene_id"] / LABELS))
            window = partial(_copy_window, labels=labels)
        for core in (Block(**block) for block in row["blocks"]):
            window(scene, core, planes)
    return {}


def _predict_window(scene: Scene, core: Block, planes: FilePlanes, job: InferJob) -> None:
    rgb, valid = read_window(scene, core, size=job.window, margin=job.margin)
    image = np.ascontiguousarray(rgb.transpose(1, 2, 0))
    probabilities = _predictor(job.model, job.model_digest).predict(image[np.newaxis])[0]
    classes = probabilities.argmax(axis=-1).astype(np.uint8)
    inside = partial(core_of, core=core, margin=job.margin)
    _keep(scene.info, core, planes, inside(classes), inside(pixel_state(rgb, valid)), inside(rgb))


def _copy_window(scene: Scene, core: Block, planes: FilePlanes, labels: DatasetReader) -> None:
    rgb, valid = scene.read(core)
    classes = np.asarray(labels.read(1, window=core.window), np.uint8)
    _keep(scene.info, core, planes, classes, pixel_state(rgb, valid), rgb)


def _keep(
    info: SceneInfo,
    core: Block,
    planes: FilePlanes,
    classes: NDArray[np.uint8],
    state: NDArray[np.uint8],
    rgb: NDArray[np.uint8],
) -> None:
    planes.put(_CLASS, core, classes)
    planes.put(_STATE, core, state)
    planes.note(_PREVIEW, core, rgb=sample(rgb, core, info))


def write_scene(predicted: pd.DataFrame, job: InferJob) -> pd.DataFrame:
    """Spark's reduce step: the PREDICTED rows of one scene in, its map written, OUTCOME out."""

    def write(rows: list[Row]) -> Row:
        scene_id, info, labels = rows[0]["scene_id"], SceneInfo.loads(rows[0]["info"]), rows[0]["labels"]
        if not job.is_done(scene_id, info, labels):  # a task that runs again after it had finished
            _write_map(scene_id, info, labels, job)
        return {}

    return one_row(predicted, write, OUTCOME)


def _write_map(scene_id: str, info: SceneInfo, labels: str | None, job: InferJob) -> None:
    planes = job.planes(scene_id, info)
    state = planes.get(_STATE, Block(0, 0, info.height, info.width)).copy()
    settle_black(state)
    ignored = state == PixelState.NODATA
    check_nodata(info, int(np.count_nonzero(ignored)), job.limits)
    if ignored.all():
        raise SceneError(f"{info.where} holds no data: every pixel is no-data or black. Leave the scene out.")
    land = find_land(info, job.land)
    if land is not None:
        ignored |= land
    side = job.window - 2 * job.margin
    network = labels is None
    source = "network" if network else "labels"
    scene_output.write_scene(
        job.output(scene_id),
        scene_id,
        info,
        job.inputs(info, labels),
        blocks(height=info.height, width=info.width, size=side),
        lambda core: np.where(ignored[core.slices], IGNORE, planes.get(_CLASS, core)).astype(np.uint8),
        lambda core: planes.noted(_PREVIEW, core)["rgb"],
        about={"source": source, "model": job.model_digest if network else None},
        source=source,
    )


@cache
def _predictor(model: Path, digest: str) -> Predictor:
    """Return the model, loaded once in each worker process; `digest` makes a changed model load anew."""
    # Spark runs a worker on every core already. TensorFlow reads these when it is first imported.
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, "1")
    return Predictor.load(model, batch=1, threads=1)
