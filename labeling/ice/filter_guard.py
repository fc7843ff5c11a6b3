"""The guard of the thin-cloud filter: what it sees of every pixel, and how that is counted.

The filter takes what is darker than its surroundings' background for shadow, and broad thin ice is that too.
The guard lets it lift ice from thin to thick, never the other way, and only where the region speaks for
shadow (shadow_cells.py). What a region is judged by is seen here, pixel by pixel:

sort    water, thick ice by how bright it is, thin ice, and thin ice that the filter may lift (a *candidate*:
        little different from its background, darker as a rule) by how bright that background is
edge    where bright ice ends, and how steep that is: floes end sharply, shadows softly

Both look at a bounded surrounding, and counts in cells of a grid are whole numbers: the same for any cut. The
judgement is known when all blocks are compared, so until then a pixel's key carries in its two lowest bits
what is to become of it; differences are told apart in steps of four instead.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from labeling.ice.kernels import compiled
from labeling.ice.profile import GuardSettings

WAITS: Final = 1
"""Added to the key of a pixel that the filter may lift if its region speaks for shadow."""

HELD: Final = 2
"""Added to the key of a pixel that the filter must leave thin."""

_STEP: Final = 4
"""Levels of difference that share a key without what is added."""

THIN: Final = 1
CANDIDATE: Final = 2
SNOW: Final = CANDIDATE + 5
SORTS: Final = SNOW + 4
"""The sort of thin ice; the first of candidates, one for each range of backgrounds; the first of thick ice,
one for each range of brightness; and how many there are with water, 0."""

EDGE: Final = 16
"""What a sort is divided by; the rest says how steep an edge is: 0 for none, 1 steep to 5 softest."""

_EDGE = np.ones((3, 3), np.uint8)


def hold(
    grey: NDArray[np.uint8],
    background: NDArray[np.uint8],
    key: NDArray[np.uint8],
    thin_max: int,
    settings: GuardSettings,
    inside: tuple[slice, slice] | None = None,
) -> NDArray[np.uint8]:
    """Turn differences into keys in place, and return what each pixel is judged by.

    `grey` is u8 (height, width) with white water; `background` and `key` are u8 of its part `inside` (rows,
    columns), `settings.halo` from edges that are not the scene's own, or of all of it. A pixel up to
    `thin_max` waits. The result is u8 like `key`: the pixel's sort plus EDGE times the edge's softness.
    """
    part = inside or (slice(None), slice(None))
    near = np.ones((settings.near, settings.near), np.uint8)
    span = np.asarray(cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, near), np.uint8)
    border = np.asarray(
        cv2.morphologyEx((grey > thin_max).view(np.uint8), cv2.MORPH_GRADIENT, _EDGE), np.uint8
    )
    seen = np.ascontiguousarray(border[part])
    layers = (np.ascontiguousarray(layer[part]).reshape(-1) for layer in (grey, span))
    levels = (thin_max, 255 - settings.reach)
    tables = (_steps(settings.background_levels), _steps(settings.snow_levels), _softness(settings.spans))
    _settle(
        *layers,
        np.ascontiguousarray(background).reshape(-1),
        levels,
        tables,
        key.reshape(-1),
        seen.reshape(-1),
    )
    return seen


def _steps(levels: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return, for each grey level, how many of some levels it reaches, u8 (256,)."""
    return np.searchsorted(np.asarray(levels), np.arange(256), side="right").astype(np.uint8)


def _softness(spans: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return, for each span of levels at an edge, 1 for steep and one more for each bound it keeps to."""
    kept = np.sum([np.arange(256) <= span for span in spans], axis=0)
    return np.asarray(kept + 1, np.uint8)


@compiled
def _settle(
    grey: NDArray[np.uint8],
    span: NDArray[np.uint8],
    background: NDArray[np.uint8],
    levels: tuple[int, int],
    tables: tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]],
    key: NDArray[np.uint8],
    seen: NDArray[np.uint8],
) -> None:
    """Finish `key`, and `seen`, which comes as 1 at edges and 0 elsewhere; all (n,)."""
    thin_max, least = np.uint8(levels[0]), np.uint8(levels[1])
    backgrounds, snows, softness = tables
    for i in range(key.size):
        if grey[i] > thin_max:
            sort = np.uint8(SNOW) + snows[grey[i]]
            waits = np.uint8(0)
        else:
            sort = np.uint8(CANDIDATE) + backgrounds[background[i]] if key[i] >= least else np.uint8(THIN)
            waits = np.uint8(WAITS)
        key[i] = (key[i] & np.uint8(256 - _STEP)) + waits
        seen[i] = sort + np.uint8(EDGE) * seen[i] * softness[span[i]]


def differences(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the histogram of differences, int64 (256,), of a histogram of keys."""
    found = np.zeros_like(counts)
    found[::_STEP] = counts.reshape(-1, _STEP).sum(axis=1)
    return found


def hold_where(key: NDArray[np.uint8], closed: NDArray[np.bool_] | np.bool_) -> None:
    """Hold in place the pixels that wait where `closed`, bool like `key` or one for all."""
    key += (key & np.uint8(WAITS)) * closed


def guard_table(table: NDArray[np.uint8], thin: int) -> NDArray[np.uint8]:
    """Return the class code, u8 (256,), of each key, from that of each difference; `thin` is thin ice's.

    What still waits is free.
    """
    found = np.full_like(table, thin)
    found[::_STEP] = found[WAITS::_STEP] = table[::_STEP]
    return found
