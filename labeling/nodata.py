"""No-data in pictures that declare none: black regions that reach in from the picture's edge."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

MIN_SHARE: Final = 0.001
"""A black region is no-data from this share of the picture on; smaller ones are dark water."""

_BLACK, _NODATA, _WATER = 1, 2, 3


def edge_regions(black: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which pixels are no-data, bool (height, width).

    `black` marks pixels whose red, green and blue are all zero. A 4-connected black region is no-data when
    it touches the picture's edge and holds at least MIN_SHARE of the picture. The rule is for pictures
    without a mask only: a product's own no-data comes from its bands.
    """
    marks = black.astype(np.uint8)
    least = MIN_SHARE * marks.size
    for y, x in _edge_pixels(marks):
        if marks[y, x] != _BLACK:
            continue
        area, *_ = cv2.floodFill(marks, None, (x, y), _NODATA)
        if area < least:
            cv2.floodFill(marks, None, (x, y), _WATER)
    return np.asarray(marks == _NODATA, np.bool_)


def _edge_pixels(marks: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Return (y, x) of the black pixels on the picture's edge."""
    edge = np.zeros_like(marks)
    edge[[0, -1], :] = marks[[0, -1], :]
    edge[:, [0, -1]] = marks[:, [0, -1]]
    rows, columns = np.nonzero(edge)
    return list(zip(rows.tolist(), columns.tolist(), strict=True))
