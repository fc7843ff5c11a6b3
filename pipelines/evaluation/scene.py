"""One test scene of an evaluation: windows of map, labels, truth and picture at the test footprints."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader

from labeling.classes import IGNORE
from labeling.errors import SceneError
from labeling.files.layout import CLASSES, LABELS, Run, finished_file, read_done
from labeling.files.raster import open_raster, quiet_georeference, read_codes
from labeling.files.storage import AnyPath
from labeling.files.uri import is_url, shown
from labeling.grid import Block
from labeling.ice.profile import LabelingProfile, ThresholdSettings
from labeling.ice.thresholds import label
from labeling.scenes.contract.scene import Scene
from labeling.scenes.open import open_scene
from labeling.scenes.sidecars import sidecar_path, truth_path
from pipelines.evaluation.tally import Tally, count_footprint

COVERED_FROM: Final = 0.05
"""Optical depth of cloud, and strength of shadow (0..1), from which a pixel counts as covered."""


class _Truth(NamedTuple):
    """What is open of a scene with truth beside it."""

    classes: DatasetReader
    scene: Scene
    thresholds: ThresholdSettings
    skies: list[DatasetReader]
    """Cloud and shadow, as far as they are there."""


def count_scene(run: Run, scene_id: str, footprints: list[Block]) -> Iterator[Tally]:
    """Yield the counts of each footprint; SceneError where labels, map or truth cannot be compared."""
    inputs = _finished_inputs(run, scene_id)
    with ExitStack() as stack, quiet_georeference():
        labels = stack.enter_context(open_raster(finished_file(run.labels(scene_id), LABELS)))
        model = stack.enter_context(_like(labels, finished_file(run.maps(scene_id), CLASSES)))
        truth = _open_truth(stack, labels, inputs)
        for block in footprints:
            yield _count(labels, model, truth, block)


def _finished_inputs(run: Run, scene_id: str) -> dict[str, Any]:
    """Return what the labels were made from; SceneError unless labels and map of one picture are finished."""
    labels, maps = (read_done(folder) for folder in (run.labels(scene_id), run.maps(scene_id)))
    if labels is None:
        raise SceneError(
            f"no finished labels in {run.labels(scene_id)}. Label again: "
            f"python -m jobs.label --scenes … --out {run.root}"
        )
    inputs: dict[str, Any] = labels["inputs"]
    if not {"uri", "profile"} <= inputs.keys():
        raise SceneError(
            f"the completion mark in {run.labels(scene_id)} does not say what was labelled. Label again: "
            f"python -m jobs.label --scenes … --out {run.root}"
        )
    way_out = f"python -m jobs.infer --model … --scenes {shown(inputs['uri'])} --out {run.root}"
    if maps is None:
        raise SceneError(f"no finished map in {run.maps(scene_id)}. Map the scene: {way_out}")
    if any(inputs.get(key) != maps["inputs"].get(key) for key in ("bytes", "modified_ns", "etag")):
        raise SceneError(
            f"{shown(inputs['uri'])} has changed between labelling and mapping. Label it again, then: "
            f"{way_out}"
        )
    return inputs


def _open_truth(stack: ExitStack, labels: DatasetReader, inputs: dict[str, Any]) -> _Truth | None:
    """Open truth, scene and sky; None where no truth lies beside the scene. `inputs` are the labels'."""
    uri = Path(inputs["uri"])
    if is_url(inputs["uri"]) or not truth_path(uri).is_file():
        return None
    beside = [sidecar_path(uri, kind) for kind in (".cloud", ".shadow")]
    profile = LabelingProfile.model_validate(inputs["profile"])
    return _Truth(
        classes=stack.enter_context(_like(labels, truth_path(uri))),
        scene=stack.enter_context(open_scene(str(uri), profile.rendering)),
        thresholds=profile.thresholds,
        skies=[stack.enter_context(_like(labels, file)) for file in beside if file.is_file()],
    )


@contextmanager
def _like(labels: DatasetReader, file: AnyPath) -> Iterator[DatasetReader]:
    """Open a raster that must have the size of the labels."""
    with open_raster(file) as raster:
        if raster.shape != labels.shape:
            raise SceneError(
                f"{file} has {raster.height} rows x {raster.width} columns, but the labels have "
                f"{labels.height} x {labels.width}: they are not of one scene. Make them again."
            )
        yield raster


def _count(labels: DatasetReader, model: DatasetReader, truth: _Truth | None, block: Block) -> Tally:
    def read(raster: DatasetReader) -> NDArray[np.uint8]:
        return read_codes(raster, block.window)

    if truth is None:
        return count_footprint(read(labels), read(model))
    rgb, valid, _ = truth.scene.read(block)
    ruled = label(rgb, truth.thresholds)
    if valid is not None:
        ruled[~valid] = IGNORE
    covered = None
    if truth.skies:
        skies = [np.asarray(sky.read(1, window=block.window)) for sky in truth.skies]
        covered = np.any([sky >= COVERED_FROM for sky in skies], axis=0)
    return count_footprint(read(labels), read(model), read(truth.classes), ruled, covered)
