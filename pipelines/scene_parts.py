"""Between map and reduce: a scene's finished blocks on disk, and the class raster they are put together to.

Labelling and mapping both leave blocks in the run's scratch folder and write one georeferenced class raster,
a quicklook and a completion mark a scene. This module is that shared half.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.windows import Window

from labeling.classes import IGNORE, IceClass
from labeling.errors import PolynyaError, SceneError
from labeling.grid import Block
from labeling.label import WindowResult
from labeling.layout import DONE, write_done
from labeling.quicklook import preview_shape, preview_step, write_quicklook
from labeling.raster import remove, replacing, write_class_raster
from labeling.scene import Scene, SceneInfo, open_scene
from labeling.thinclouds import histogram

QUICKLOOK = "quicklook.png"


class ScenePart:
    """A mapped block on disk; each array is read when asked for."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.block = Block(*self._load("block").tolist())

    @property
    def window(self) -> WindowResult:
        """The block's key and state."""
        return WindowResult(self._load("key"), self.state)

    @property
    def state(self) -> NDArray[np.uint8]:
        """The block's PixelState codes."""
        return self._load("state")

    @property
    def preview(self) -> NDArray[np.uint8]:
        """The block's share of the reduced scene, band-first."""
        return self._load("preview")

    def _load(self, name: str) -> NDArray[Any]:
        with np.load(self._file) as arrays:
            return np.asarray(arrays[name])


def save_part(
    file: Path, block: Block, window: WindowResult, rgb: NDArray[np.uint8], info: SceneInfo
) -> None:
    """Write a mapped block; the file appears whole, so a task that runs again does no harm.

    `window` and `rgb` (3, height, width) cover the block without its halo.
    """
    preview = _sample(rgb, block, info)
    with replacing(file) as temporary:
        np.savez(temporary, block=block, key=window.key, state=window.state, preview=preview)


def assemble_state(parts: list[ScenePart], info: SceneInfo) -> NDArray[np.uint8]:
    """Return the PixelState codes of the whole scene, u8 (height, width)."""
    state = np.empty((info.height, info.width), np.uint8)
    for part in parts:
        state[part.block.slices] = part.state
    return state


MapBlock = Callable[[Scene, SceneInfo, Block, Path], None]
"""Maps a block of an open scene and leaves it in a scratch file, by `save_part`."""


class SceneOutput(NamedTuple):
    """Where and how a scene's classes are written."""

    folder: Path
    raster: str
    heading: str
    """What the quicklook calls the classes."""
    palette: str
    quicklook: bool

    @property
    def files(self) -> list[str]:
        """Names of the files that a finished scene has."""
        return [self.raster, QUICKLOOK] if self.quicklook else [self.raster]


def write_scene_classes(
    output: SceneOutput,
    scene_id: str,
    info: SceneInfo,
    inputs: dict[str, Any],
    parts: list[ScenePart],
    classes_of: Callable[[ScenePart], NDArray[np.uint8]],
    ignored: NDArray[np.bool_],
) -> None:
    """Write a scene's class raster, quicklook and completion mark, part by part.

    `classes_of` returns a part's class codes; `ignored` (height, width) says which pixels have none.
    """
    if ignored.all():
        raise SceneError(f"{info.uri} holds no data: every pixel is no-data or black. Leave the scene out.")
    totals = np.zeros(256, np.int64)
    preview = np.empty(preview_shape(height=info.height, width=info.width), np.uint8)

    def pieces() -> Iterator[tuple[Window, NDArray[np.uint8]]]:
        for part in parts:
            classes = classes_of(part)
            totals[:] += histogram(classes)
            preview[_sampled_slices(part.block, info)] = _sample(classes, part.block, info)
            yield part.block.window, classes

    remove(output.folder / DONE)
    write_class_raster(
        output.folder / output.raster,
        pieces(),
        height=info.height,
        width=info.width,
        crs=CRS.from_wkt(info.crs) if info.crs else None,
        transform=info.affine,
        palette=output.palette,
    )
    if output.quicklook:
        scene = _assemble_preview(parts, info)
        panels = [(output.heading, preview)]
        write_quicklook(output.folder / QUICKLOOK, scene_id, scene, panels, output.palette)
    pixels = {c.name.lower(): int(totals[c]) for c in IceClass} | {"ignore": int(totals[IGNORE])}
    write_done(
        output.folder,
        inputs,
        output.files,
        scene_id=scene_id,
        pixels=pixels,
        pixel_area_m2=info.pixel_area,
    )


def map_parts(task: dict[str, Any], rendering: str, scratch: Path, map_block: MapBlock) -> dict[str, Any]:
    """Map one task's blocks, read in a rendering, to scratch files; a failure becomes the row's error.

    Returns the row's `scene_id`, `info`, `scratch` (files of the blocks) and `error`.
    """
    info = SceneInfo.loads(task["info"])
    files, error = [], None
    try:
        with open_scene(info.uri, rendering) as scene:
            for block in (Block(**item) for item in task["blocks"]):
                file = scratch / task["scene_id"] / f"{block.row}-{block.column}.npz"
                map_block(scene, info, block, file)
                files.append(str(file))
    except Exception as problem:  # whatever is wrong with one scene must not stop the others
        error = describe(problem)
    return {"scene_id": task["scene_id"], "info": task["info"], "scratch": files, "error": error}


def reduce_parts(
    mapped: pd.DataFrame,
    scratch: Path,
    is_done: Callable[[str, SceneInfo], bool],
    finish: Callable[[str, SceneInfo, list[ScenePart]], None],
) -> pd.DataFrame:
    """Finish one scene from the rows of its mapped tasks, unless one of them failed; return its outcome."""
    scene_id = mapped["scene_id"].iloc[0]
    info = SceneInfo.loads(mapped["info"].iloc[0])
    errors = mapped["error"].dropna()
    error = errors.iloc[0] if len(errors) else None
    # A task that runs again after its scene was finished finds no scratch files, and needs none.
    if error is None and not is_done(scene_id, info):
        try:
            files = sorted(Path(file) for group in mapped["scratch"] for file in group)
            finish(scene_id, info, [ScenePart(file) for file in files])
        except Exception as problem:  # as in the map step
            error = describe(problem)
    remove(scratch / scene_id)
    return pd.DataFrame([{"scene_id": scene_id, "error": error}])


def describe(problem: Exception) -> str:
    """Return an error's message for failures.jsonl, with its kind where it is not one of ours."""
    return str(problem) if isinstance(problem, PolynyaError) else f"{type(problem).__name__}: {problem}"


def _assemble_preview(parts: list[ScenePart], info: SceneInfo) -> NDArray[np.uint8]:
    """Return the reduced scene, u8 (rows, columns, 3)."""
    scene = np.empty((*preview_shape(height=info.height, width=info.width), 3), np.uint8)
    for part in parts:
        scene[_sampled_slices(part.block, info)] = part.preview.transpose(1, 2, 0)
    return scene


def _sample(array: NDArray[np.uint8], block: Block, info: SceneInfo) -> NDArray[np.uint8]:
    """Return a block's pixels that fall on the scene's preview grid (last two axes are rows, columns)."""
    step = preview_step(height=info.height, width=info.width)
    return array[..., -block.row % step :: step, -block.column % step :: step]


def _sampled_slices(block: Block, info: SceneInfo) -> tuple[slice, slice]:
    """Return where a block's sampled pixels go in the preview."""
    step = preview_step(height=info.height, width=info.width)
    bottom, right = block.row + block.height, block.column + block.width
    return slice(-(-block.row // step), -(-bottom // step)), slice(
        -(-block.column // step), -(-right // step)
    )
