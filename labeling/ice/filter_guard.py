"""The guard of the thin-cloud filter: where the filter may call ice thick that the thresholds call thin.

The filter takes what is darker than its surroundings' background for shadow, and broad thin ice is that too.
The guard lets it lift ice from thin to thick, never the other way, and asks for signs of shadow first:

background   Where it is bright, it is snow, and the filter may work. No thin cloud takes so much light that
             snow looks as dark as young ice: where it is dark, the filter may not. In between:
smooth       Light falls off slowly across a shadow, and thin ice is cut by cracks and floes. Of the greyish
             pixels around, a share must be smooth.
soft edges   Floes end sharply, shadows softly. Of the region's border between bright and less bright, a share
             must be soft, which it is not under a clear sky (shadow_cells.py).

Background and smoothness look at a bounded surrounding, soft edges are sums of whole numbers: the same bits
for any cut. The last is known when all blocks are compared, so until then a pixel's key carries in its two
lowest bits what is to become of it; differences are told apart in steps of four instead.

docs/science.md says how the limits were chosen.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from labeling.ice.kernels import compiled
from labeling.ice.profile import GuardSettings

WAITS: Final = 1
"""Added to the key of a pixel that the filter may lift if the edges of its region are soft."""

HELD: Final = 2
"""Added to the key of a pixel that the filter must leave thin."""

_STEP: Final = 4
"""Levels of difference that share a key without what is added."""

LEVELS: Final = 256 // _STEP
"""Levels of difference that keys tell apart."""

SHARP: Final = 1
SOFT: Final = 2
"""What `hold` says of an edge."""

_PARTS: Final = 1000
"""Shares are compared in thousandths."""

_EDGE = np.ones((3, 3), np.uint8)


def hold(
    grey: NDArray[np.uint8],
    background: NDArray[np.uint8],
    key: NDArray[np.uint8],
    thin_max: int,
    settings: GuardSettings,
    inside: tuple[slice, slice] | None = None,
) -> NDArray[np.uint8]:
    """Turn differences into keys in place: a pixel up to `thin_max` is held, waits, or is free.

    `grey` is u8 (height, width) with white water; `background` and `key` are u8 of its part `inside` (rows,
    columns), `settings.halo` from edges that are not the scene's own, or of all of it. Returns where the
    part's edges are, u8 like `key`: SHARP, SOFT, or 0.
    """
    part = inside or (slice(None), slice(None))
    near = np.ones((settings.near, settings.near), np.uint8)
    span = np.asarray(cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, near), np.uint8)
    border = cv2.morphologyEx((grey > thin_max).view(np.uint8), cv2.MORPH_GRADIENT, _EDGE)
    smooth = _smoothness(grey, span, thin_max, settings)
    limits = thin_max, settings.background_min, settings.background_bright, settings.soft_span
    edges = np.ascontiguousarray(np.asarray(border, np.uint8)[part])
    layers = (np.ascontiguousarray(layer[part]).reshape(-1) for layer in (grey, smooth, span))
    _settle(*layers, np.ascontiguousarray(background).reshape(-1), limits, key.reshape(-1), edges.reshape(-1))
    return edges


def _smoothness(
    grey: NDArray[np.uint8], span: NDArray[np.uint8], thin_max: int, settings: GuardSettings
) -> NDArray[np.int32]:
    """Return a number, int32, that is 0 or more where enough of the greyish pixels around are smooth.

    `span` is the span of grey levels near each pixel. What lies outside the picture counts for nothing.
    """
    balance = np.empty(grey.shape, np.int16)
    least = round(_PARTS * settings.smooth_share)
    limits = settings.smooth_from, thin_max, settings.smooth_span
    _weigh(grey.reshape(-1), span.reshape(-1), limits, least, balance.reshape(-1))
    side = (settings.window, settings.window)
    sums = cv2.boxFilter(balance, cv2.CV_32S, side, normalize=False, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(sums, np.int32)


@compiled
def _weigh(
    grey: NDArray[np.uint8],
    span: NDArray[np.uint8],
    limits: tuple[int, int, int],
    least: int,
    balance: NDArray[np.int16],
) -> None:
    """Let each greyish pixel pay the share asked for, and a smooth one bring a whole; all (n,)."""
    low, high, smooth = np.uint8(limits[0]), np.uint8(limits[1]), np.uint8(limits[2])
    for i in range(grey.size):
        greyish = np.int16((grey[i] >= low) & (grey[i] <= high))
        balance[i] = greyish * (np.int16(_PARTS) * np.int16(span[i] <= smooth) - np.int16(least))


@compiled
def _settle(
    grey: NDArray[np.uint8],
    smooth: NDArray[np.int32],
    span: NDArray[np.uint8],
    background: NDArray[np.uint8],
    limits: tuple[int, int, int, int],
    key: NDArray[np.uint8],
    edges: NDArray[np.uint8],
) -> None:
    """Finish `key`, and `edges`, which come as 0 and 1; all (n,)."""
    thin_max, dark = np.uint8(limits[0]), np.uint8(limits[1])
    bright, soft = np.uint8(limits[2]), np.uint8(limits[3])
    for i in range(key.size):
        free = (grey[i] > thin_max) | (background[i] >= bright)
        waits = (background[i] >= dark) & (smooth[i] >= 0)
        why = np.uint8(WAITS) if waits else np.uint8(HELD)
        key[i] = (key[i] & np.uint8(256 - _STEP)) + (np.uint8(0) if free else why)
        edges[i] = edges[i] * (np.uint8(SHARP) + np.uint8(span[i] <= soft))


def differences(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the histogram of differences, int64 (256,), of a histogram of keys."""
    found = np.zeros_like(counts)
    found[::_STEP] = counts.reshape(-1, _STEP).sum(axis=1)
    return found


def waiting(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return those that wait, by difference, int64 (64,), of a histogram of keys."""
    return counts[WAITS::_STEP]


def settled(counts: NDArray[np.int64], opened: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a histogram of keys, int64 (256,), in which those that wait and are not `opened` are held.

    `opened` is int64 (64,) like `waiting`.
    """
    found = counts.copy()
    found[WAITS::_STEP] = opened
    found[HELD::_STEP] += waiting(counts) - opened
    return found


def held(counts: NDArray[np.int64]) -> int:
    """Return how many pixels of a settled histogram of keys the filter was kept from."""
    return int(counts[HELD::_STEP].sum())


def hold_waiting(key: NDArray[np.uint8]) -> None:
    """Hold in place the pixels that wait; `key` is u8 of any shape."""
    key += key & np.uint8(WAITS)


def guard_table(table: NDArray[np.uint8], thin: int) -> NDArray[np.uint8]:
    """Return the class code, u8 (256,), of each key, from that of each difference; `thin` is thin ice's.

    What still waits is free.
    """
    found = np.full_like(table, thin)
    found[::_STEP] = found[WAITS::_STEP] = table[::_STEP]
    return found


def edge_sums(edges: NDArray[np.uint8], ice: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return how many of the edges that `hold` tells are on ice, and how many of these are soft, int64 (2,).

    `ice` is bool like `edges` and says which pixels count.
    """
    soft = np.count_nonzero((edges == SOFT) & ice)
    return np.array([np.count_nonzero((edges == SHARP) & ice) + soft, soft], np.int64)
