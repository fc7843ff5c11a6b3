"""Labels by a profile, in the steps that distribute: prepare, compare, count, look up, finish.

`label_scene` runs them over one whole picture: the plain reference of the Spark job in pipelines/label.py.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from labeling import thinclouds, thresholds
from labeling.classes import CLASS_COUNT, IGNORE
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
    the file says nothing.
    """
    if valid is not None and not valid.all():
        rgb = np.where(valid, rgb, 0).astype(np.uint8)
    value = thresholds.brightness(rgb)
    state = pixel_state(value, valid, profile.thresholds.water_max)
    if profile.thin_clouds is None:
        return Prepared(value, state)
    return Prepared(thinclouds.painted_grey(rgb, profile.thresholds), state)


def pixel_state(
    value: NDArray[np.uint8], valid: NDArray[np.bool_] | None, water_max: int
) -> NDArray[np.uint8]:
    """Return PixelState codes, u8 (height, width), from brightness and what the file says of no-data."""
    state = (value <= water_max).view(np.uint8)  # WATER is 1
    if valid is None:
        return np.add(state, (value == 0).view(np.uint8), out=state)  # BLACK is one more
    state[~valid] = PixelState.NODATA
    return state


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
    labels = np.asarray(cv2.LUT(key, table), np.uint8)
    labels *= (state == PixelState.SEEN).view(np.uint8)  # WATER is 0
    without = ignored(state, profile)
    if without.any():
        labels[without] = IGNORE
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
