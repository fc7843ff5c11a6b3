"""Median over a large square window, equal to `cv2.medianBlur` bit for bit, at several times its speed.

The method is that of Perreault & Hebert 2007 ("Median filtering in constant time"): keep a histogram of
every column of the window, and slide the window's histogram along a row by adding the column that enters
and subtracting the one that leaves. What differs is the histogram. A background varies slowly, so within a
tile the medians fall into few grey levels. For 32 consecutive levels b we keep how many pixels are
<= b: u8 for a column, u16 for the window, each one vector. Sliding is then a vector addition, and the
number of b with no more than half of the window's pixels <= b is the median's distance from the first
level, by comparison and population count; nothing branches on the data. Such counts add up over adjacent
ranges of levels, so where a median falls outside the range its box is passed over again with the next one:
exact for any content, at worst nine passes.
The loops are in median_loops.py.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from labeling.ice.median_loops import MAX_RADIUS, fill_tiles

# The guide looks at every (radius // 5)th pixel: near enough to the median to choose a range by.
_GUIDE_RADIUS = 5
# With a smaller radius or a narrower image OpenCV is as fast, or on bad content faster (measured).
_MIN_RADIUS, _MIN_SIDE_IN_RADII = 20, 3


def median_background(
    image: NDArray[np.uint8], radius: int = 77, inside: tuple[slice, slice] | None = None
) -> NDArray[np.uint8]:
    """Return the median of the (2 radius + 1)-square window around each pixel, u8 (height, width).

    `image` is u8 (height, width), neither side 0; beyond its border the border's pixels repeat. All 256
    values are plain grey levels. The result is `cv2.medianBlur(image, 2 * radius + 1)`, exactly; with
    `inside` (rows, columns) only that part of it, at the cost of that part.
    Raises TypeError or ValueError on any other array and ValueError on a negative radius.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        raise TypeError(f"the median needs a u8 array, not {getattr(image, 'dtype', type(image).__name__)}")
    if image.ndim != 2 or image.size == 0:
        raise ValueError(f"the median needs (height, width), neither of them 0, not {image.shape}")
    if radius < 0:
        raise ValueError(f"the median's radius must not be negative: {radius}")
    part = inside or _all_of(image)
    narrow = min(side.stop - side.start for side in part) <= _MIN_SIDE_IN_RADII * radius
    if _MIN_RADIUS <= radius <= MAX_RADIUS and not narrow:
        return _sliding_median(image, radius, inside)
    return np.asarray(cv2.medianBlur(image, 2 * radius + 1)[part], np.uint8)


def _all_of(image: NDArray[np.uint8]) -> tuple[slice, slice]:
    return slice(0, image.shape[0]), slice(0, image.shape[1])


def _sliding_median(
    image: NDArray[np.uint8], radius: int, inside: tuple[slice, slice] | None = None
) -> NDArray[np.uint8]:
    """`median_background` without its checks and without OpenCV; 0 <= radius <= MAX_RADIUS."""
    rows, columns = inside or _all_of(image)
    step = max(1, radius // _GUIDE_RADIUS)
    part = np.ascontiguousarray(image[rows, columns][::step, ::step])
    guide = cv2.medianBlur(part, 2 * (radius // step) + 1)
    padded = _surrounded(image, radius, rows, columns)
    result = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.uint8)
    fill_tiles(padded, guide, step, radius, result)
    return result


def _surrounded(image: NDArray[np.uint8], radius: int, rows: slice, columns: slice) -> NDArray[np.uint8]:
    """Return the part of the image with `radius` pixels around it, repeated where the image ends."""
    height, width = image.shape
    top, left = max(0, rows.start - radius), max(0, columns.start - radius)
    bottom, right = min(height, rows.stop + radius), min(width, columns.stop + radius)
    missing = (
        radius - (rows.start - top),
        radius - (bottom - rows.stop),
        radius - (columns.start - left),
        radius - (right - columns.stop),
    )
    part = image[top:bottom, left:right]
    if not any(missing):
        return np.ascontiguousarray(part)
    return np.asarray(cv2.copyMakeBorder(part, *missing, borderType=cv2.BORDER_REPLICATE), np.uint8)
