"""Where in a scene the filter may lift ice: cells of a grid, judged by what lies in and around them.

A cell's counts, with those of its surroundings and of the scene, are shares of ice of several sorts and of
edges of several softness. A table of weights (guards/*.yaml), learnt on many kinds of ice and sky, turns them
into evidence that what the filter would lift is snow in shadow. Between the middles of cells evidence is
interpolated, so that labels show no grid.

Cells form a fixed grid from the scene's upper left corner. Counts add up over blocks in whole numbers, and
evidence follows from their sums: the same for any cut.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any, Final, NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray

from labeling.grid import Block
from labeling.ice.cell_grid import between
from labeling.ice.filter_guard import CANDIDATE, SNOW, SORTS, THIN, hold_where
from labeling.ice.kernels import compiled
from labeling.ice.profile import GuardSettings

_SOFTNESS: Final = 6

COUNTS: Final = SORTS + _SOFTNESS
"""Numbers of a cell: pixels of each sort (0 is water), and edges of each softness (0 unused)."""

NUMBERS: Final = 2 + COUNTS
"""With the cell's row and column before them."""

REGION: Final = 15
"""Side, cells, of the region whose edges must be soft in some part at all."""

SIDES: Final = (3, 7, 0)
"""Sides, cells, of the surroundings that a cell is judged by; 0 is the scene."""

MOST: Final = 3.0
"""Evidence, either way, beyond which more counts for nothing: a cell must not outweigh its neighbours."""

Numbers = NDArray[np.float64]


class ShadowCells(NamedTuple):
    """What the whole scene shows of its cells."""

    evidence: NDArray[np.float32]
    """(rows, columns) of the grid, -3..3: above 0 it speaks for shadow."""
    softness: NDArray[np.float32]
    """(rows, columns), 0..1: share of the edges in a cell's region that are soft; 0 where there are none."""
    soft_edges: float
    """The same of the whole scene."""
    soft_area: float
    """Share of the cells in whose region more edges are soft than those of ice are."""


def count_cells(
    seen: NDArray[np.uint8], state: NDArray[np.uint8], block: Block, settings: GuardSettings
) -> NDArray[np.int64]:
    """Return the counts of the cells that a block touches, int64 (n, NUMBERS).

    `seen` is what filter_guard.hold tells, `state` the kind of each pixel: 0 ice that may be thin, 1 water, 3
    thick ice, and more for what does not count; both u8 (height, width).
    """
    side = settings.cell
    first_row, first_column = block.row // side, block.column // side
    rows = (block.row + block.height - 1) // side - first_row + 1
    columns = (block.column + block.width - 1) // side - first_column + 1
    counts = np.zeros((rows, columns, COUNTS), np.int64)
    cell_of = np.arange(block.column, block.column + block.width) // side - first_column
    for row in range(rows):
        start = max(0, (first_row + row) * side - block.row)
        part = np.s_[start : (first_row + row + 1) * side - block.row]
        _count(np.ascontiguousarray(seen[part]), np.ascontiguousarray(state[part]), cell_of, counts[row])
    places = np.mgrid[first_row : first_row + rows, first_column : first_column + columns]
    found = np.concatenate([places.transpose(1, 2, 0), counts], axis=-1)
    return np.asarray(found.reshape(-1, NUMBERS), np.int64)


@compiled
def _count(
    seen: NDArray[np.uint8],
    state: NDArray[np.uint8],
    cell_of: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> None:
    """Add a row of cells' pixels to `counts`, int64 (columns, COUNTS); `cell_of` says a column's cell."""
    for y in range(seen.shape[0]):
        for x in range(seen.shape[1]):
            kind, cell = state[y, x], counts[cell_of[x]]
            if kind == 0 or kind == 3:
                cell[seen[y, x] & 15] += 1
                cell[SORTS + (seen[y, x] >> 4)] += 1
            elif kind < 3:
                cell[0] += 1


def shadow_cells(
    counts: NDArray[np.int64], settings: GuardSettings, weights: dict[str, float] | None = None
) -> ShadowCells:
    """Judge the cells from the counts, int64 (n, NUMBERS), of blocks that cover a scene.

    `weights` are those that the settings name, where none are given.
    """
    rows, columns = counts[:, :2].T
    grid = np.zeros((rows.max(initial=0) + 1, columns.max(initial=0) + 1, COUNTS), np.int64)
    np.add.at(grid, (rows, columns), counts[:, 2:])
    soft, edges = (around(layer, REGION) for layer in _edges(grid, settings))
    found = evidence(grid, weights or load_weights(settings.evidence))
    hard = soft <= settings.soft_share * edges
    found[hard] = -MOST
    of_scene = [int(layer.sum()) for layer in _edges(grid, settings)]
    return ShadowCells(
        np.clip(found, -MOST, MOST).astype(np.float32),
        (soft / np.maximum(edges, 1)).astype(np.float32),
        of_scene[0] / max(1, of_scene[1]),
        1 - float(hard.mean()),
    )


def _edges(grid: NDArray[np.int64], settings: GuardSettings) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the soft edges of each cell, and all edges, int64 (rows, columns)."""
    softness = grid[..., SORTS + 1 :]
    return softness[..., 3:].sum(axis=-1), softness.sum(axis=-1)


def evidence(grid: NDArray[np.int64], weights: dict[str, float]) -> Numbers:
    """Return what speaks for shadow in each cell, f64 (rows, columns), as the weights of `features` say."""
    total = np.full(grid.shape[:2], weights["bias"])
    for name, values in features(grid).items():  # one after the other: every machine adds in the same order
        total += weights[name] * values
    return total


def features(grid: NDArray[np.int64]) -> dict[str, Numbers]:
    """Return what a cell is judged by, each f64 (rows, columns), from its counts (rows, columns, COUNTS)."""
    return {
        f"{name} in {side or 'scene'}": values
        for side in SIDES
        for name, values in _shares(around(grid, side).astype(np.float64)).items()
    }


def _shares(sums: Numbers) -> dict[str, Numbers]:
    sorts, softness = sums[..., :SORTS], sums[..., SORTS + 1 :]
    candidates, snows = sorts[..., CANDIDATE:SNOW], sorts[..., SNOW:]
    candidate, snow = candidates.sum(axis=-1), snows.sum(axis=-1)
    thin, every, edges = sorts[..., THIN] + candidate, sorts.sum(axis=-1), softness.sum(axis=-1)
    found = {
        "candidates": _share(candidate, every),
        "thin": _share(thin, every),
        "thick": _share(snow, every),
        "water": _share(sorts[..., 0], every),
        "edges": _share(edges, every),
        "candidates of thin": _share(candidate, thin),
    }
    for step in range(1, 5):
        found[f"soft {step}"] = np.log((softness[..., step:].sum(axis=-1) + 1) / (edges + 40))
    found |= {f"background {step}": _share(candidates[..., step], candidate) for step in range(5)}
    found |= {f"snow {step}": _share(snows[..., step], snow) for step in range(4)}
    return found


def _share(part: Numbers, whole: Numbers) -> Numbers:
    """Return a share that few pixels leave near a tenth."""
    return np.asarray((part + 2) / (whole + 20))


def around(grid: NDArray[np.int64], side: int) -> NDArray[np.int64]:
    """Return the sum over the square of `side` cells around each cell (0: over all), shape as `grid`."""
    if side == 0:
        return np.broadcast_to(grid.sum(axis=(0, 1)), grid.shape)
    reach = side // 2
    padded = np.pad(grid, [(reach + 1, reach), (reach + 1, reach)] + [(0, 0)] * (grid.ndim - 2))
    sums = padded.cumsum(axis=0).cumsum(axis=1)
    return np.asarray(sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side])


def hold_closed(
    key: NDArray[np.uint8], block: Block, cells: ShadowCells, settings: GuardSettings
) -> NDArray[np.uint8]:
    """Return a block's keys, u8 (height, width), in which those wait no more that nothing speaks for.

    Evidence is interpolated between the middles of cells.
    """
    rows, columns = cells.evidence.shape
    above, below, down = between(block.row, block.height, rows, settings.cell)
    left, right, along = between(block.column, block.width, columns, settings.cell)
    found = key.copy()
    if (cells.evidence[above[0] : below[-1] + 1, left[0] : right[-1] + 1] > 0).any():
        lines = cells.evidence[above] * (1 - down[:, None]) + cells.evidence[below] * down[:, None]
        _hold(lines, left, right, along, found)
    else:
        hold_where(found, np.True_)
    return found


def soft_pixels(softness: NDArray[np.float32], block: Block, settings: GuardSettings) -> NDArray[np.bool_]:
    """Return where in a block edges are soft, as cloud or shadow makes them, bool (height, width).

    `softness` is the share of soft edges around each cell, (rows, columns).
    """
    evidence, cell = np.where(softness > settings.soft_share, np.float32(1), np.float32(-1)), settings.cell
    rows, columns = evidence.shape
    above, below, down = between(block.row, block.height, rows, cell)
    left, right, along = between(block.column, block.width, columns, cell)
    lines = evidence[above] * (1 - down[:, None]) + evidence[below] * down[:, None]
    return np.asarray(lines[:, left] * (1 - along) + lines[:, right] * along > 0)


@compiled
def _hold(
    lines: NDArray[np.float32],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    along: NDArray[np.float32],
    key: NDArray[np.uint8],
) -> None:
    """Hold in place what waits where evidence, (height, cells) a row of pixels, is not above 0 in between."""
    for y in range(key.shape[0]):
        for x in range(key.shape[1]):
            if key[y, x] & 1:
                first, last = lines[y, left[x]], lines[y, right[x]]
                if first * (np.float32(1) - along[x]) + last * along[x] <= 0:
                    key[y, x] += np.uint8(1)


@cache
def load_weights(name: str) -> dict[str, float]:
    """Return a shipped table of weights by its name; its meaning never changes."""
    text = (files("labeling.ice") / "guards" / f"{name}.yaml").read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.safe_load(text)
    return {key: float(value) for key, value in content["weights"].items()}
