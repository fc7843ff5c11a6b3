"""Labels by a profile, in the steps that distribute: prepare, compare, count, look up, finish.

`label_scene` runs them over one whole picture: the plain reference of the Spark job in pipelines/label.py.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labeling import thinclouds, thresholds
from labeling.classes import CLASS_COUNT, IGNORE, IceClass
from labeling.fused import brightness_and_state, grey_and_state, look_up
from labeling.nodata import edge_regions
from labeling.profile import LabelingProfile


class PixelState(IntEnum):
    """What is known of a pixel before the scene's table is."""

    SEEN = 0
    WATER = 1
    BLACK = 2
    """All three bands zero, in a picture that declares no no-data: dark water, or no-data after all."""
    NODATA = 3
    CLOUD = 4
    """Under a cloud mask."""
    LAND = 5
    """On land or an ice shelf."""


class Prepared(NamedTuple):
    """A window before anything is compared: u8 (height, width) each."""

    value: NDArray[np.uint8]
    """What the next step looks at: grey with white water, or brightness without the filter."""
    state: NDArray[np.uint8]
    """PixelState codes."""


def prepare(rgb: NDArray[np.uint8], valid: NDArray[np.bool_] | None, profile: LabelingProfile) -> Prepared:
    """Do all of the labelling that looks at one pixel alone; any window of a scene will do.

    `rgb` is band-first u8 (3, height, width); `valid` is False where the file says no-data, or None where
    the file says nothing. No-data counts as black, whatever its values.
    """
    value, state = (np.empty(rgb.shape[1:], np.uint8) for _ in range(2))
    planar = np.ascontiguousarray(rgb).reshape(3, -1)
    fill = brightness_and_state if profile.thin_clouds is None else grey_and_state
    fill(planar, profile.thresholds.water_max, value.reshape(-1), state.reshape(-1))
    if valid is None:
        return Prepared(value, state)
    state[state == PixelState.BLACK] = PixelState.WATER
    without = ~valid
    state[without] = PixelState.NODATA
    value[without] = 0 if profile.thin_clouds is None else thinclouds.WHITE
    return Prepared(value, state)


def pixel_state(rgb: NDArray[np.uint8], valid: NDArray[np.bool_] | None) -> NDArray[np.uint8]:
    """Return PixelState codes, u8 (height, width), of a picture in which water is not told from ice."""
    if valid is not None:
        return np.where(valid, np.uint8(PixelState.SEEN), np.uint8(PixelState.NODATA))
    black = thresholds.brightness(rgb) == 0
    return np.where(black, np.uint8(PixelState.BLACK), np.uint8(PixelState.SEEN))


def count_states(state: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return how many pixels have each PixelState, int64 (6,)."""
    return np.array([np.count_nonzero(state == np.uint8(kind)) for kind in PixelState], np.int64)


def settle_black(state: NDArray[np.uint8]) -> bool:
    """Decide in place, for a whole scene's states, whether black is no-data or dark water.

    Return whether anything changed.
    """
    black = state == PixelState.BLACK
    if not black.any():
        return False
    state[black] = PixelState.WATER
    state[edge_regions(black)] = PixelState.NODATA
    return True


def ignored(state: NDArray[np.uint8], profile: LabelingProfile) -> NDArray[np.bool_]:
    """Return which pixels the profile gives no class, bool like `state`, whose black is settled."""
    first = PixelState.NODATA if profile.nodata == "ignore" else PixelState.CLOUD
    return np.asarray(state >= first, np.bool_)


def compare(
    value: NDArray[np.uint8], profile: LabelingProfile, inside: tuple[slice, slice] | None = None
) -> NDArray[np.uint8]:
    """Return each pixel's key, u8: its index into the scene's table, from it and its surroundings.

    The key is the difference from the background, or the brightness without the filter. With `inside`
    (rows, columns) the result is for that part, `profile.halo` from edges that are not the scene's own.
    """
    if profile.thin_clouds is None:
        return value if inside is None else value[inside]
    return thinclouds.difference(value, profile.thin_clouds, inside)


def count_keys(
    key: NDArray[np.uint8], state: NDArray[np.uint8], profile: LabelingProfile
) -> NDArray[np.int64]:
    """Return a window's share of the scene's histogram, int64 (256,), without pixels that get no class."""
    without = ignored(state, profile)
    return thinclouds.histogram(key, ~without if without.any() else None)


def class_table(counts: NDArray[np.int64], profile: LabelingProfile) -> NDArray[np.uint8]:
    """Return the class code, u8 (256,), of each key in a scene with this histogram."""
    if profile.thin_clouds is None:
        return thresholds.label_table(profile.thresholds)
    return thinclouds.lookup_table(counts, profile.thin_clouds, profile.thresholds)


def finish(
    key: NDArray[np.uint8], state: NDArray[np.uint8], table: NDArray[np.uint8], profile: LabelingProfile
) -> NDArray[np.uint8]:
    """Return the class codes, u8 (height, width), of a window; black is settled in `state`."""
    states = np.arange(len(PixelState), dtype=np.uint8)
    tables = np.full((len(PixelState), 256), IceClass.WATER, np.uint8)
    tables[PixelState.SEEN] = table
    tables[ignored(states, profile)] = IGNORE
    labels = np.empty(key.shape, np.uint8)
    look_up(*(np.ascontiguousarray(layer).reshape(-1) for layer in (key, state)), tables, labels.reshape(-1))
    return labels


def label_scene(
    rgb: NDArray[np.uint8], valid: NDArray[np.bool_] | None, profile: LabelingProfile
) -> NDArray[np.uint8]:
    """Label one whole picture in memory; arguments as of `prepare`, class codes u8 (height, width)."""
    value, state = prepare(rgb, valid, profile)
    settle_black(state)
    key = compare(value, profile)
    return finish(key, state, class_table(count_keys(key, state, profile), profile), profile)


def class_fractions(labels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the share of each class among the labelled pixels, (3,); zeros where all are ignored."""
    counts = np.bincount(labels.ravel(), minlength=256)[:CLASS_COUNT]
    return np.asarray(counts / max(1, counts.sum()), np.float64)
