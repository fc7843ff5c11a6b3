"""The thin-cloud and shadow filter of Iqrah et al. 2024, cut so that blocks give the whole-scene result.

The published filter works on a whole scene. Its costly part, the background and the difference from it,
looks only `halo` pixels far; all that follows (Otsu, stretch, truncate, stretch, cut) depends on a pixel's
difference and on the scene's histogram of differences alone. So blocks map to `difference` and a histogram,
histograms add up over the scene, and `lookup_table` of the sum finishes every block: the same pixels as the
whole-scene run, for any cut. (tests/helpers/oracle.py holds the literal whole-scene version.)
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from labeling.classes import IceClass
from labeling.ice.profile import ThinCloudSettings, ThresholdSettings

WHITE = 255
_LEVELS = 256


def background(
    grey: NDArray[np.uint8], settings: ThinCloudSettings, inside: tuple[slice, slice] | None = None
) -> NDArray[np.uint8]:
    """Return the brightness that a pixel's surroundings suggest for it, u8.

    `grey` is u8 (height, width) with open water and no-data painted white, so that they neither darken the
    background of the ice beside them nor are taken for shadow (fused.py makes it). With `inside` (rows,
    columns) the result is for that part only, which must lie `settings.halo` from every edge that is not the
    scene's own border.
    """
    kernel = np.ones((settings.dilate, settings.dilate), np.uint8)
    dilated = np.asarray(cv2.dilate(grey, kernel), np.uint8)
    from labeling.ice.median import median_background  # loads numba, see kernels.py

    return median_background(dilated, settings.median // 2, inside)


def difference(grey: NDArray[np.uint8], expected: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return 255 - |grey - expected|, u8 (height, width): 255 where a pixel equals its background."""
    return np.asarray(cv2.bitwise_not(cv2.absdiff(grey, expected)), np.uint8)


def filter_table(counts: NDArray[np.int64], settings: ThinCloudSettings) -> NDArray[np.uint8]:
    """Return the filtered brightness, u8 (256,), of each difference in a scene with this histogram.

    Otsu to zero, min-max stretch, truncate, stretch again. Entries whose difference does not occur are
    those of the nearest difference that does. An empty histogram gives all zeros.
    """
    present = np.flatnonzero(counts)
    if present.size == 0:
        return np.zeros(_LEVELS, np.uint8)
    # A full-length vector takes the same vectorised path in OpenCV as a picture, so it rounds alike.
    values = np.clip(np.arange(_LEVELS), present[0], present[-1]).astype(np.uint8)
    values[values <= otsu_threshold(counts)] = 0
    values = _stretch(values)
    values = np.minimum(values, settings.truncate).astype(np.uint8)
    return _stretch(values)


def lookup_table(
    counts: NDArray[np.int64],
    settings: ThinCloudSettings,
    thresholds: ThresholdSettings,
) -> NDArray[np.uint8]:
    """Return the class code, u8 (256,), of each difference: thin or thick ice (water is known beforehand)."""
    highest = thresholds.thin_ice_max if settings.thin_max is None else settings.thin_max
    thin = filter_table(counts, settings) <= highest
    return np.where(thin, IceClass.THIN_ICE, IceClass.THICK_ICE).astype(np.uint8)


def otsu_threshold(counts: NDArray[np.int64]) -> int:
    """Return Otsu's threshold of a histogram, int64 (256,): it parts the pixels as OpenCV does.

    Between two levels that occur OpenCV may give any, which makes no difference to the pixels. Where two cuts
    are equally good on paper, the last bit of the arithmetic decides, and that depends on how OpenCV was
    compiled. So a clear winner is taken at once, and in doubt OpenCV itself decides, on a picture with this
    histogram (a byte a pixel, for a moment).
    """
    winner = _clear_winner(counts)
    if winner is not None:
        return winner
    pixels = np.repeat(np.arange(_LEVELS, dtype=np.uint8), counts)
    threshold, _ = cv2.threshold(pixels[np.newaxis], 0, WHITE, cv2.THRESH_TOZERO | cv2.THRESH_OTSU)
    return int(threshold)


def _clear_winner(counts: NDArray[np.int64]) -> int | None:
    """Return the level, of those that occur, that separates best; None where rounding could decide."""
    levels, total = np.arange(_LEVELS), counts.sum()
    below = np.cumsum(counts) / total
    above = 1 - below
    smaller = np.minimum(below, above)
    least = np.finfo(np.float32).eps  # OpenCV leaves out cuts with less than this on one side
    if np.isclose(smaller, least, rtol=1e-6, atol=0).any():
        return None
    allowed = (smaller > least) & (counts > 0)
    if not allowed.any():
        return None
    part = np.cumsum(levels * counts)[allowed] / total
    mean, below, above = float(levels @ counts) / total, below[allowed], above[allowed]
    spread = below * above * (part / below - (mean - part) / above) ** 2
    best = int(np.argmax(spread))
    rivals = spread > spread[best] * (1 - 1e-9)
    return int(levels[allowed][best]) if rivals.sum() == 1 else None


def _stretch(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Stretch so that the smallest value becomes 0 and the largest 255; a constant becomes 0."""
    return np.asarray(cv2.normalize(values, values.copy(), 0, WHITE, cv2.NORM_MINMAX), np.uint8).reshape(-1)
