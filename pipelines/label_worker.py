"""Labelling on a worker: the map step over blocks and the reduce step over scenes.

The map step decodes the pixels and leaves each block's result in the run's scratch folder; the reduce step
adds up the scene's histogram, derives its table and applies it while it writes. What crosses to a worker is
a LabelJob and rows of paths, windows and counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from labeling.grid import Block
from labeling.label import PixelState, class_table, count_keys, finish, ignored_mask, map_window
from labeling.layout import is_done
from labeling.profile import LabelingProfile
from labeling.scene import Scene, SceneInfo
from labeling.thinclouds import histogram
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

LABELS = "labels.tif"


class LabelJob(NamedTuple):
    """What every worker needs to know; small, and pickled with the tasks."""

    profile: LabelingProfile
    folder: Path
    """Where each scene gets a folder with its labels."""
    scratch: Path
    block_size: int
    quicklook: bool
    palette: str

    def output(self, scene_id: str) -> SceneOutput:
        """Return where a scene's labels go."""
        return SceneOutput(self.folder / scene_id, LABELS, "labels", self.palette, self.quicklook)

    def inputs(self, info: SceneInfo) -> dict[str, Any]:
        """Return what decides a scene's labels; a rerun redoes the scene when it changes."""
        return info.identity() | {"profile": self.profile.model_dump(), "palette": self.palette}

    def is_done(self, scene_id: str, info: SceneInfo) -> bool:
        """Tell whether a scene's labels are finished and up to date."""
        output = self.output(scene_id)
        return is_done(output.folder, self.inputs(info), output.files)


# --- map: blocks ---


def map_blocks(frames: Iterator[pd.DataFrame], job: LabelJob) -> Iterator[pd.DataFrame]:
    """Spark's map step over WORK rows."""
    cv2.setNumThreads(1)  # Spark runs a task on every core already
    for frame in frames:
        for task in records(frame):
            yield pd.DataFrame([map_task(task, job)])


def map_task(task: dict[str, Any], job: LabelJob) -> dict[str, Any]:
    """Map one task's blocks to scratch files and their share of the scene's histogram."""
    counts = np.zeros(256, np.int64)

    def map_block(scene: Scene, info: SceneInfo, block: Block, file: Path) -> None:
        outer = block.grow(job.profile.halo, height=info.height, width=info.width)
        rows, columns = block.inside(outer)
        rgb, valid = scene.read(outer)
        window = map_window(rgb, valid, job.profile).cut(rows, columns)
        save_part(file, block, window, rgb[:, rows, columns], info)
        counts[:] += count_keys(window, job.profile)

    return map_parts(task, job.profile.rendering, job.scratch, map_block) | {"histogram": counts.tolist()}


# --- reduce: scenes ---


def reduce_scene(mapped: pd.DataFrame, job: LabelJob) -> pd.DataFrame:
    """Spark's reduce step over the MAPPED rows of one scene: its table, labels and quicklook."""
    counts = np.sum(mapped["histogram"].to_list(), axis=0).astype(np.int64)

    def finish_scene(scene_id: str, info: SceneInfo, parts: list[ScenePart]) -> None:
        _finish_scene(scene_id, info, parts, counts, job)

    return reduce_parts(mapped, job.scratch, job.is_done, finish_scene)


def _finish_scene(
    scene_id: str, info: SceneInfo, parts: list[ScenePart], counts: NDArray[np.int64], job: LabelJob
) -> None:
    state = assemble_state(parts, info)
    ignored = ignored_mask(state, job.profile)
    table = class_table(counts - _uncounted(parts, state, ignored), job.profile)
    write_scene_classes(
        job.output(scene_id),
        scene_id,
        info,
        job.inputs(info),
        parts,
        lambda part: finish(part.window, ignored[part.block.slices], table),
        ignored,
    )


def _uncounted(
    parts: list[ScenePart], state: NDArray[np.uint8], ignored: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return the histogram of pixels that the map step counted but the whole scene shows to be no-data."""
    counts = np.zeros(256, np.int64)
    late = ignored & (state == PixelState.BLACK)
    for part in parts:
        here = late[part.block.slices]
        if here.any():
            counts += histogram(part.window.key, here)
    return counts
