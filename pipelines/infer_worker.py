"""Maps on a worker: windows get classes by network, labels or both, scenes are put together from cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rasterio.io import DatasetReader

from labeling.classes import IGNORE
from labeling.doubt import Doubt
from labeling.errors import SceneError
from labeling.files.layout import CLASSES, LABELS, STATUS, finished_file, is_done, own_folder, scene_folder
from labeling.files.raster import check_shape, open_raster, read_codes
from labeling.files.storage import AnyPath
from labeling.grid import Block, blocks
from labeling.ice import moved_cuts
from labeling.ice.label import PixelState, grow_nodata, pixel_state, settle_black
from labeling.ice.profile import ThresholdSettings
from labeling.masks.land import LandSettings, find_land, land_inputs
from labeling.masks.limits import LimitSettings, black_doubts, check_nodata
from labeling.results import output as scene_output
from labeling.results.layers import LAYERS, UNSAID, levels, shares_of
from labeling.results.output import SceneOutput, sample
from labeling.results.status import carried, read_status, without_class
from labeling.scenes.contract.plausible import check_reflectance
from labeling.scenes.contract.rendering import low_sun
from labeling.scenes.contract.scene import Scene, SceneInfo
from labeling.scenes.open import open_scene
from labeling.scenes.windows import core_of, read_window
from labeling.stages.planes import FilePlanes
from labeling.status import PixelStatus
from pipelines.cuts_worker import checked_map, evidence_of, keep_opinion, profile_of
from pipelines.engine.rows import Row, each_row, one_row
from pipelines.map_sources import LABELS_ALONE, MOVED_CUTS, NETWORK, MapRow
from pipelines.schemas import OUTCOME, PREDICTED
from pipelines.worker_gpu import show_assigned
from training.predict import Predictor

_CLASS, _STATE, _PREVIEW = "class", "state", "preview"


class Seen(NamedTuple):
    """What is seen in a window's core."""

    rgb: NDArray[np.uint8]
    """The picture, u8 (3, height, width)."""
    state: NDArray[np.uint8]
    """PixelState codes, u8 (height, width)."""
    beyond: int
    """How many pixels lie beyond what reflectance can be."""


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
    contradicted: float = 0.15
    """Share of the labels without shadow that the network may contradict."""
    layers: tuple[str, ...] = ()
    """Which of labeling.results.layers.LAYERS are written."""

    def output(self, scene_id: str) -> SceneOutput:
        """Return where a scene's map goes."""
        folder = own_folder(self.folder, scene_id)
        return SceneOutput(folder, CLASSES, "map", self.palette, quicklook=True, layers=self.layers)

    def inputs(self, row: MapRow) -> dict[str, Any]:
        """Return what decides a scene's map; a rerun redoes the scene when it changes."""
        inputs = row.info.identity() | {
            "palette": self.palette,
            "land": land_inputs(self.land),
            "limits": self.limits.deciding,
        }
        if row.source != LABELS_ALONE:
            inputs |= {"model": self.model_digest, "window": self.window, "margin": self.margin}
        if row.labels is not None:
            inputs |= {"labels": row.labels}
        if row.source == MOVED_CUTS:
            inputs |= {"moved_cuts": moved_cuts.VERSION, "contradicted": self.contradicted}
        return inputs

    def is_done(self, row: MapRow) -> bool:
        """Tell whether a scene's map is finished and up to date."""
        output = self.output(row.scene_id)
        return is_done(output.folder, self.inputs(row), output.files)

    def shared(self, row: Row) -> AnyPath:
        """Return the folder in which tasks on a scene leave word for each other."""
        scene_id: str = row["scene_id"]
        return self.scratch / scene_id

    def planes(self, scene_id: str, info: SceneInfo) -> FilePlanes:
        """Return where the cores of a scene's windows wait for each other."""
        side = self.window - 2 * self.margin
        shape = {"height": info.height, "width": info.width}
        return FilePlanes(self.scratch / scene_id, **shape, rows=side, columns=side)


def predict_tasks(frames: Iterator[pd.DataFrame], job: InferJob) -> Iterator[pd.DataFrame]:
    """Spark's map step: WINDOWS rows in, PREDICTED rows out."""
    yield from each_row(frames, partial(_predict, job=job), PREDICTED, job.limits, job.shared)


def _map_row(row: Row) -> MapRow:
    return MapRow(row["scene_id"], SceneInfo.loads(row["info"]), row["source"], row["labels"])


def _predict(row: Row, job: InferJob) -> Row:
    scene_id, info, source, _ = _map_row(row)
    planes = job.planes(scene_id, info)
    folder = scene_folder(job.labels, scene_id)
    with ExitStack() as stack:
        scene = stack.enter_context(open_scene(info.uri, job.rendering))
        if source == NETWORK:
            window = partial(_predict_window, job=job)
        else:
            labels = stack.enter_context(open_raster(finished_file(folder, LABELS)))
            check_shape(labels, height=info.height, width=info.width)
            window = partial(_copy_window, labels=labels)
            if source == MOVED_CUTS:
                window = partial(
                    _weigh_window, job=job, labels=labels, thresholds=profile_of(folder).thresholds
                )
        for core in (Block(**block) for block in row["blocks"]):
            seen = window(scene, core, planes)
            planes.put(_STATE, core, seen.state)
            planes.note(_PREVIEW, core, rgb=sample(seen.rgb, core, info), beyond=np.array(seen.beyond))
    return {}


def _predict_window(scene: Scene, core: Block, planes: FilePlanes, job: InferJob) -> Seen:
    seen, probabilities = _probabilities(scene, core, job)
    _keep_layers(planes, core, probabilities, job)
    planes.put(_CLASS, core, probabilities.argmax(axis=-1).astype(np.uint8))
    return seen


def _copy_window(scene: Scene, core: Block, planes: FilePlanes, labels: DatasetReader) -> Seen:
    rgb, valid, beyond = scene.read(core)
    planes.put(_CLASS, core, _read_labels(labels, core))
    return Seen(rgb, pixel_state(rgb, valid), _count(beyond))


def _weigh_window(
    scene: Scene,
    core: Block,
    planes: FilePlanes,
    labels: DatasetReader,
    job: InferJob,
    thresholds: ThresholdSettings,
) -> Seen:
    seen, probabilities = _probabilities(scene, core, job)
    _keep_layers(planes, core, probabilities, job)
    keep_opinion(planes, core, seen.rgb, probabilities, _read_labels(labels, core), thresholds)
    return seen


def _keep_layers(planes: FilePlanes, core: Block, probabilities: NDArray[np.float32], job: InferJob) -> None:
    for name in job.layers:
        for band, values in enumerate(levels(shares_of(name, probabilities))):
            planes.put(f"{name}{band}", core, values)


def _probabilities(scene: Scene, core: Block, job: InferJob) -> tuple[Seen, NDArray[np.float32]]:
    rgb, valid, beyond = read_window(scene, core, size=job.window, margin=job.margin)
    image = np.ascontiguousarray(rgb.transpose(1, 2, 0))
    found = predictor(job.model, job.model_digest).predict(image[np.newaxis])[0]
    inside = partial(core_of, core=core, margin=job.margin)
    seen = Seen(
        inside(rgb), inside(pixel_state(rgb, valid)), _count(None if beyond is None else inside(beyond))
    )
    return seen, found[job.margin :, job.margin :][: core.height, : core.width]


def _count(beyond: NDArray[np.bool_] | None) -> int:
    return 0 if beyond is None else int(np.count_nonzero(beyond))


def _read_labels(labels: DatasetReader, core: Block) -> NDArray[np.uint8]:
    return read_codes(labels, core.window)


def write_scene(predicted: pd.DataFrame, job: InferJob) -> pd.DataFrame:
    """Spark's reduce step: the PREDICTED rows of one scene in, its map written, OUTCOME out."""

    def write(rows: list[Row]) -> Row:
        row = _map_row(rows[0])
        if not job.is_done(row):  # a task that runs again after it had finished
            _write_map(row, job)
        return {}

    return one_row(predicted, write, OUTCOME, job.limits)


def _write_map(row: MapRow, job: InferJob) -> None:
    scene_id, info, source, _ = row
    planes = job.planes(scene_id, info)
    state = planes.get(_STATE, Block(0, 0, info.height, info.width)).copy()
    inner_black = settle_black(state, all_nodata=job.limits.black == "nodata")
    if info.rim:
        grow_nodata(state, info.rim)
    status = np.where(state == PixelState.NODATA, np.uint8(PixelStatus.NODATA), np.uint8(0))
    del state
    cut = list(blocks(height=info.height, width=info.width, size=job.window - 2 * job.margin))
    beyond = sum(int(planes.noted(_PREVIEW, core)["beyond"]) for core in cut)
    nodata = int(np.count_nonzero(status))
    check_reflectance(info, beyond=beyond, pixels=status.size - nodata + beyond)
    check_nodata(info, nodata, job.limits)
    if nodata == status.size:
        raise SceneError(f"{info.where} holds no data: every pixel is no-data or black. Leave the scene out.")
    status = _excluded(status, row, job)
    ignored = without_class(status)
    classes: Callable[[Block], NDArray[np.uint8]] = partial(planes.get, _CLASS)
    drawn: Callable[[Block], NDArray[np.bool_]] = _everywhere
    facts: dict[str, float] = {}
    low = low_sun(job.rendering, info.light)
    doubts = [*black_doubts(info, inner_black), *([Doubt("low-sun", low)] if low else [])]
    if source == MOVED_CUTS:
        found = checked_map(
            planes, cut, ignored, evidence_of(scene_folder(job.labels, scene_id), info), job.contradicted
        )
        classes, facts, source = found.classes, found.facts, source if found.used else LABELS_ALONE
        drawn = found.drawn
        doubts += found.doubts

    def statuses_of(core: Block, classed: PixelStatus) -> NDArray[np.uint8]:
        codes = status[core.slices]
        return np.where(codes == PixelStatus.CLASSIFIED, np.uint8(classed), codes)

    def levels_of(name: str, core: Block) -> NDArray[np.uint8]:
        bands = range(len(LAYERS[name].bands))
        if row.source == LABELS_ALONE:  # no window was shown to the network
            return np.full((len(bands), core.height, core.width), UNSAID, np.uint8)
        said = np.stack([planes.get(f"{name}{band}", core) for band in bands])
        return np.where(drawn(core) & ~ignored[core.slices], said, np.uint8(UNSAID))

    scene_output.write_scene(
        job.output(scene_id),
        scene_id,
        info,
        job.inputs(row),
        cut,
        lambda core: np.where(ignored[core.slices], IGNORE, classes(core)).astype(np.uint8),
        statuses_of,
        lambda core: planes.noted(_PREVIEW, core)["rgb"],
        levels_of=levels_of,
        doubts=lambda: doubts,
        counted=lambda: facts,
        about={"source": source, "model": None if source == LABELS_ALONE else job.model_digest},
        source=source,
    )


def _everywhere(core: Block) -> NDArray[np.bool_]:
    return np.ones((core.height, core.width), np.bool_)


def _excluded(status: NDArray[np.uint8], row: MapRow, job: InferJob) -> NDArray[np.uint8]:
    """Return a scene's PixelStatus codes, (height, width), after a look at land and at its labels.

    Where labels know of land or no-data the map has none either, whatever this run was told; clouds are the
    labels' alone.
    """
    land = find_land(row.info, job.land)
    if land is not None:
        status[land & (status == PixelStatus.CLASSIFIED)] = PixelStatus.LAND
    if row.labels is None:
        return status
    with open_raster(finished_file(scene_folder(job.labels, row.scene_id), STATUS)) as raster:
        check_shape(raster, height=row.info.height, width=row.info.width)
        whole = Block(0, 0, *status.shape)
        return carried(status, read_status(raster, whole), clouds_only=row.source == NETWORK)


def predictor(model: Path, digest: str) -> Predictor:
    """Return the model, loaded once in each worker process; `digest` makes a changed model load anew.

    It computes on the GPU that Spark gave the task, if any.
    """
    show_assigned()
    return _loaded(model, digest)


@cache
def _loaded(model: Path, digest: str) -> Predictor:
    # Spark runs a worker on every core already. TensorFlow reads these when it is first imported.
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, "1")
    return Predictor.load(model, batch=1, threads=1)
