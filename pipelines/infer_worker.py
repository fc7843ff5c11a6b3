"""Maps on a worker: blocks get classes by network, labels or both, scenes are put together from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rasterio.io import DatasetReader

from labeling.classes import IGNORE
from labeling.errors import SceneError
from labeling.files.layout import CLASSES, LABELS, STATUS, finished_file, is_done, own_folder, scene_folder
from labeling.files.raster import CODES_OF_STATUS, check_shape, open_raster, read_codes
from labeling.files.storage import AnyPath
from labeling.grid import Block, blocks
from labeling.ice import moved_cuts
from labeling.ice.label import PixelState, grow_nodata, pixel_state, settle_black
from labeling.ice.profile import ThresholdSettings
from labeling.masks.land import LandSettings, find_land, land_inputs
from labeling.masks.limits import LimitSettings, black_doubts, check_nodata, sun_doubts
from labeling.results import output as scene_output
from labeling.results.layers import LAYERS, UNSAID, levels, shares_of
from labeling.results.output import SceneOutput, sample
from labeling.results.status import carried, without_class
from labeling.scenes.bands import sweep
from labeling.scenes.contract.plausible import check_reflectance
from labeling.scenes.contract.scene import Pixels, Scene, SceneInfo
from labeling.scenes.open import open_scene
from labeling.stages.planes import FilePlanes
from labeling.status import PixelStatus
from pipelines.cuts_worker import checked_map, evidence_of, keep_opinion, profile_of
from pipelines.engine.rows import Row, each_row, one_row
from pipelines.map_sources import LABELS_ALONE, MOVED_CUTS, NETWORK, MapRow
from pipelines.schemas import OUTCOME, PREDICTED
from pipelines.worker_gpu import predictor
from training.settings.config import Precision

SWEPT: Final = 2
"""How scenes go through the network; maps are redone when it changes what comes out."""

_CLASS, _STATE, _PREVIEW = "class", "state", "preview"


class Seen(NamedTuple):
    """What is seen in a block."""

    pixels: Pixels
    probabilities: NDArray[np.float32] | None
    """What the network says, (height, width, 3); None where it is not asked."""

    @property
    def said(self) -> NDArray[np.float32]:
        """The probabilities, where there are any."""
        if self.probabilities is None:
            raise ValueError("the network was not asked")
        return self.probabilities


class InferJob(NamedTuple):
    """What every worker needs to know; small, and pickled with the tasks."""

    model: Path
    model_digest: str
    """sha256 of model.keras: a map is redone when the model changes."""
    rendering: str
    """The rendering the model was trained on."""
    rows: int
    """Rows of a block, in which a scene goes through the network."""
    columns: int
    """Columns of a block, at most."""
    cell: int
    """Pixels of the network's cells; blocks begin where one does."""
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
    precision: Precision = "float32"
    """What the network computes in."""

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
            inputs |= {**self.network, "swept": SWEPT}
        if row.labels is not None:
            inputs |= {"labels": row.labels}
        if row.source == MOVED_CUTS:
            inputs |= {"moved_cuts": moved_cuts.VERSION, "contradicted": self.contradicted}
        return inputs

    @property
    def network(self) -> dict[str, str]:
        """What tells a network that has a say in a map from another."""
        precision = {} if self.precision == "float32" else {"precision": self.precision}
        return {"model": self.model_digest} | precision

    def is_done(self, row: MapRow) -> bool:
        """Tell whether a scene's map is finished and up to date."""
        output = self.output(row.scene_id)
        return is_done(output.folder, self.inputs(row), output.files)

    def shared(self, row: Row) -> AnyPath:
        """Return the folder in which tasks on a scene leave word for each other."""
        scene_id: str = row["scene_id"]
        return self.scratch / scene_id

    def strips(self, info: SceneInfo) -> list[list[Block]]:
        """Return the blocks of a scene by strips of full height, from left to right, each from its top."""
        shape = {"height": info.height, "width": info.width}
        cut = list(blocks(**shape, size=self.rows, columns=self.columns_of(info)))
        return [[b for b in cut if b.column == left] for left in sorted({b.column for b in cut})]

    def columns_of(self, info: SceneInfo) -> int:
        """Return the columns of a scene's blocks, whole cells, alike for all but those at its right."""
        most = max(self.cell, self.columns // self.cell * self.cell)
        strips = -(-info.width // most)
        return -(-info.width // strips // self.cell) * self.cell

    def planes(self, scene_id: str, info: SceneInfo) -> FilePlanes:
        """Return where the blocks of a scene wait for each other."""
        shape = {"height": info.height, "width": info.width}
        return FilePlanes(self.scratch / scene_id, **shape, rows=self.rows, columns=self.columns_of(info))


def predict_tasks(frames: Iterator[pd.DataFrame], job: InferJob) -> Iterator[pd.DataFrame]:
    """Spark's map step: WINDOWS rows in, PREDICTED rows out."""
    yield from each_row(frames, partial(_predict, job=job), PREDICTED, job.limits, job.shared)


def _map_row(row: Row) -> MapRow:
    return MapRow(row["scene_id"], SceneInfo.loads(row["info"]), row["source"], row["labels"])


def _predict(row: Row, job: InferJob) -> Row:
    scene_id, info, source, _ = _map_row(row)
    planes = job.planes(scene_id, info)
    folder = scene_folder(job.labels, scene_id)
    cut = [Block(**block) for block in row["blocks"]]
    with ExitStack() as stack:
        scene = stack.enter_context(open_scene(info.uri, job.rendering))
        seen: Iterable[Seen]
        keep: Callable[[Block, Seen], None]
        if source == NETWORK:
            seen, keep = _swept(scene, cut, job), partial(_keep_likeliest, planes)
        else:
            labels = stack.enter_context(open_raster(finished_file(folder, LABELS)))
            check_shape(labels, height=info.height, width=info.width)
            seen, keep = _looked_at(scene, cut), partial(_keep_labels, planes, labels)
            if source == MOVED_CUTS:
                thresholds = profile_of(folder).thresholds
                seen, keep = _swept(scene, cut, job), partial(_keep_weighed, planes, labels, thresholds)
        for block, found in zip(cut, seen, strict=True):
            keep(block, found)
            _keep_layers(planes, block, found, job)
            planes.put(_STATE, block, pixel_state(found.pixels.rgb, found.pixels.valid))
            beyond = np.array(_count(found.pixels.beyond))
            planes.note(_PREVIEW, block, rgb=sample(found.pixels.rgb, block, info), beyond=beyond)
    return {}


def _looked_at(scene: Scene, cut: Sequence[Block]) -> Iterator[Seen]:
    return (Seen(scene.read(block), None) for block in cut)


def _swept(scene: Scene, cut: Sequence[Block], job: InferJob) -> Iterator[Seen]:
    network = predictor(job.model, job.model_digest, job.precision)
    columns = job.columns_of(scene.info)
    return (Seen(*found) for found in sweep(scene, cut, network, columns=columns, cell=job.cell))


def _keep_likeliest(planes: FilePlanes, block: Block, seen: Seen) -> None:
    planes.put(_CLASS, block, moved_cuts.likeliest(seen.said))


def _keep_labels(planes: FilePlanes, labels: DatasetReader, block: Block, _: Seen) -> None:
    planes.put(_CLASS, block, read_codes(labels, block.window))


def _keep_weighed(
    planes: FilePlanes, labels: DatasetReader, thresholds: ThresholdSettings, block: Block, seen: Seen
) -> None:
    codes = read_codes(labels, block.window)
    keep_opinion(planes, block, seen.pixels.rgb, seen.said, codes, thresholds)


def _keep_layers(planes: FilePlanes, block: Block, seen: Seen, job: InferJob) -> None:
    for name in job.layers if seen.probabilities is not None else ():
        for band, values in enumerate(levels(shares_of(name, seen.said))):
            planes.put(f"{name}{band}", block, values)


def _count(beyond: NDArray[np.bool_] | None) -> int:
    return 0 if beyond is None else int(np.count_nonzero(beyond))


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
    cut = [block for strip in job.strips(info) for block in strip]
    notes = {core: planes.noted(_PREVIEW, core) for core in cut}
    beyond = sum(int(note["beyond"]) for note in notes.values())
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
    doubts = [*sun_doubts(info, job.rendering), *black_doubts(info, inner_black)]
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
        if row.source == LABELS_ALONE:  # nothing was shown to the network
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
        lambda core: notes[core]["rgb"],
        levels_of=levels_of,
        doubts=lambda: doubts,
        counted=lambda: facts,
        about={"source": source} | ({} if source == LABELS_ALONE else job.network),
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
        known = read_codes(raster, known=CODES_OF_STATUS)
        return carried(status, known, clouds_only=row.source == NETWORK)
