"""How scenes become tasks: whole, one task each, or cut into blocks that spread over all cores.

A scene done whole needs no scratch files and reads every piece of its file once. A scene that is cut keeps
all cores busy however few scenes there are. The choice changes time and memory, never a pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Final, Literal, NamedTuple

from labeling.grid import Block, blocks
from labeling.scenes.contract.scene import SceneInfo
from pipelines.engine.scenes import CatalogRow

PIXEL_BYTES: Final = 8
"""Memory of a scene done whole, per pixel: its layers, masks and what the filter works on (measured)."""

BASE_BYTES: Final = 500 << 20
"""Memory of a worker before it has read a pixel, and of the block it works on."""

SCRATCH_BYTES: Final = 4
"""Bytes a pixel that a cut scene leaves in the scratch folder while it is worked on, at most."""

_SMALL: Final = 1 << 23
"""Pixels; below, cutting a scene costs more than it gains."""

_LEAST, _MOST = 1 << 20, 3 << 20
"""Pixels of a block of a cut scene, as far as the file's own pieces allow: its layers fit into caches."""

_TASKS_PER_CORE: Final = 8


class Cut(NamedTuple):
    """How a scene is cut: the largest block in pixels."""

    rows: int
    columns: int

    def blocks(self, info: SceneInfo) -> list[Block]:
        """Return the scene's blocks."""
        return list(blocks(height=info.height, width=info.width, size=self.rows, columns=self.columns))


class PlannedScene(NamedTuple):
    """A scene with its cut."""

    row: CatalogRow
    cut: Cut


class Plan(NamedTuple):
    """Which scenes are done how, in the order in which they are done."""

    whole: list[PlannedScene]
    """One task each; the cut bounds the memory of reading."""
    threaded: list[PlannedScene]
    """One after the other, by threads on all cores of this machine."""
    waves: list[list[PlannedScene]]
    """Cut over all cores; a wave's scratch files are there at one time."""

    def __str__(self) -> str:
        cut = [scene for wave in self.waves for scene in wave]
        parts = []
        if self.whole:
            parts.append(f"{len(self.whole)} scene(s) whole, a task each")
        if self.threaded:
            parts.append(f"{len(self.threaded)} scene(s) one after the other, with threads")
        if cut:
            tasks = sum(len(scene.cut.blocks(scene.row.info)) for scene in cut)
            parts.append(f"{len(cut)} scene(s) cut into {tasks} blocks in {len(self.waves)} wave(s)")
        return ", ".join(parts) or "nothing to do"


def make_plan(
    rows: Sequence[CatalogRow],
    *,
    cores: int,
    memory: int,
    scratch: int,
    block_size: int | None = None,
    cut: Literal["auto", "never", "always"] = "auto",
    one_machine: bool = False,
) -> Plan:
    """Plan scenes for `cores` tasks at a time, each with `memory` bytes, and `scratch` bytes of disk.

    Small pictures and those that only decode from their top are done whole. So are large scenes that fit
    into a worker's memory, as many as fill all cores the same number of times. The rest is cut; but where all
    cores are on `one_machine`, threads share a scene's layers in memory with less ado. `block_size` fixes the
    side of every block, and `cut` whether scenes are cut at all, for trials.
    """
    whole: list[CatalogRow] = []
    large: list[CatalogRow] = []
    for row in rows:
        (large if _worth_cutting(row.info, cut) else whole).append(row)
    fitting = [row for row in large if cut == "auto" and memory_of(row.info) <= memory]
    # A single round of whole scenes would wait for the slowest.
    filling = fitting[: len(fitting) // cores * cores] if cores == 1 or len(fitting) >= 2 * cores else []
    threaded = fitting[len(filling) :] if one_machine else []
    taken = {row.scene_id for row in filling + threaded}
    return Plan(
        [PlannedScene(row, cut_of(row.info, cores, block_size)) for row in filling + whole],
        [PlannedScene(row, cut_of(row.info, cores, block_size)) for row in threaded],
        _waves([row for row in large if row.scene_id not in taken], cores, scratch, block_size),
    )


def tasks_of(scenes: int, cores: int) -> int:
    """Return how many tasks do scenes whole: as many a core. Each costs half as much as a picture."""
    rounds = ceil(scenes / cores / max(1, scenes // (_TASKS_PER_CORE * cores)))
    return min(scenes, rounds * cores)


def _worth_cutting(info: SceneInfo, cut: Literal["auto", "never", "always"]) -> bool:
    if cut != "auto":
        return cut == "always"
    return info.windowed and info.height * info.width > _SMALL


def memory_of(info: SceneInfo) -> int:
    """Return how many bytes a worker needs to do a scene whole."""
    return BASE_BYTES + PIXEL_BYTES * info.height * info.width


def cut_of(info: SceneInfo, cores: int, block_size: int | None = None) -> Cut:
    """Return a scene's cut: whole pieces of its file, some blocks a core, none of them too small or large.

    Blocks on the file's own grid decode each of its pieces once.
    """
    if block_size is not None:
        return Cut(block_size, block_size)
    if not info.windowed:
        return Cut(info.height, info.width)
    wanted = info.height * info.width // (_TASKS_PER_CORE * cores)
    area = min(max(wanted, _LEAST), _MOST)
    piece_rows, piece_columns = info.block
    # Wide blocks have short sides up and down, where neighbours are read from whole rows.
    across = max(1, ceil(info.width / max(area // piece_rows, piece_columns)))
    columns = min(info.width, ceil(info.width / across / piece_columns) * piece_columns)
    rows = min(info.height, max(1, round(area / columns / piece_rows)) * piece_rows)
    return Cut(rows, columns)


def _waves(
    rows: list[CatalogRow], cores: int, scratch: int, block_size: int | None
) -> list[list[PlannedScene]]:
    waves: list[list[PlannedScene]] = []
    room = 0
    for row in rows:
        need = SCRATCH_BYTES * row.info.height * row.info.width
        if need > room or not waves:
            waves.append([])
            room = scratch
        waves[-1].append(PlannedScene(row, cut_of(row.info, cores, block_size)))
        room -= need
    return waves
