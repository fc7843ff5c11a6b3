"""Labels by a profile, as the three steps that distribute: map a window, reduce histograms, finish.

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


class WindowResult(NamedTuple):
    """The map step's result for a window: u8 (height, width) each."""

    key: NDArray[np.uint8]
    """Index into the scene's table: difference from the background, or brightness without the filter."""
    state: NDArray[np.uint8]
    """PixelState codes."""

    def cut(self, rows: slice, columns: slice) -> WindowResult:
        """Return the part in these rows and columns."""
        return WindowResult(self.key[rows, columns], self.state[rows, columns])


def map_window(
    rgb: NDArray[np.uint8], valid: NDArray[np.bool_] | None, profile: LabelingProfile
) -> WindowResult:
    """Do all of the labelling that needs a pixel's surroundings.

    `rgb` is band-first u8 (3, height, width); `valid` is False where the file says no-data, or None where
    the file says nothing. Trim `profile.halo` pixels at edges that are not the scene's own.
    """
    if valid is not None and not valid.all():
        rgb = np.where(valid, rgb, 0).astype(np.uint8)
    value = thresholds.brightness(rgb)
    state = pixel_state(value, valid, profile.thresholds.water_max)
    if profile.thin_clouds is None:
        return WindowResult(value, state)
    return WindowResult(thinclouds.difference(rgb, profile.thin_clouds, profile.thresholds), state)


def pixel_state(
    value: NDArray[np.uint8], valid: NDArray[np.bool_] | None, water_max: int
) -> NDArray[np.uint8]:
    """Return PixelState codes, u8 (height, width), from brightness and what the file says of no-data."""
    state = (value <= water_max).view(np.uint8)  # WATER is 1
    if valid is None:
        return np.add(state, (value == 0).view(np.uint8), out=state)  # BLACK is one more
    state[~valid] = PixelState.NODATA
    return state


def count_keys(window: WindowResult, profile: LabelingProfile) -> NDArray[np.int64]:
    """Return the window's share of the scene's histogram, int64 (256,), without declared no-data."""
    declared = window.state == PixelState.NODATA
    if profile.nodata == "ignore" and declared.any():
        return thinclouds.histogram(window.key, ~declared)
    return thinclouds.histogram(window.key)


def nodata_mask(state: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which pixels of a whole scene hold no data, bool (height, width)."""
    return np.asarray((state == PixelState.NODATA) | edge_regions(state == PixelState.BLACK), np.bool_)


def ignored_mask(state: NDArray[np.uint8], profile: LabelingProfile) -> NDArray[np.bool_]:
    """Return which pixels of a whole scene the profile ignores, bool (height, width)."""
    return nodata_mask(state) if profile.nodata == "ignore" else np.zeros(state.shape, np.bool_)


def class_table(counts: NDArray[np.int64], profile: LabelingProfile) -> NDArray[np.uint8]:
    """Return the class code, u8 (256,), of each key in a scene with this histogram."""
    if profile.thin_clouds is None:
        return thresholds.label_table(profile.thresholds)
    return thinclouds.lookup_table(counts, profile.thin_clouds, profile.thresholds)


def finish(window: WindowResult, ignored: NDArray[np.bool_], table: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the class codes, u8 (height, width), of a mapped window; `ignored` is its no-data mask."""
    labels = np.asarray(cv2.LUT(window.key, table), np.uint8)
    labels *= (window.state == PixelState.SEEN).view(np.uint8)  # WATER is 0
    if ignored.any():
        labels[ignored] = IGNORE
    return labels


def label_scene(
    rgb: NDArray[np.uint8], valid: NDArray[np.bool_] | None, profile: LabelingProfile
) -> NDArray[np.uint8]:
    """Label one whole picture in memory; arguments as of `map_window`, class codes u8 (height, width)."""
    window = map_window(rgb, valid, profile)
    ignored = ignored_mask(window.state, profile)
    counts = thinclouds.histogram(window.key, ~ignored if ignored.any() else None)
    return finish(window, ignored, class_table(counts, profile))


def class_fractions(labels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the share of each class among the labelled pixels, (3,); zeros where all are ignored."""
    counts = np.bincount(labels.ravel(), minlength=256)[:CLASS_COUNT]
    return np.asarray(counts / max(1, counts.sum()), np.float64)
