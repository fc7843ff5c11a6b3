"""No-data in pictures that declare none: black regions that reach in from the picture's edge."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

MIN_SHARE: Final = 0.001
"""A black region is no-data from this share of the picture on; smaller ones are dark water."""


def settle(codes: NDArray[np.uint8], *, black: int, nodata: int, water: int) -> None:
    """Turn the `black` pixels of a picture's codes, u8 (height, width), into `nodata` or `water`, in place.

    A 4-connected black region is no-data when it touches the picture's edge and holds at least MIN_SHARE of
    the picture. The rule is for pictures without a mask only: a product's own no-data comes from its bands,
    so no pixel is `nodata` before.
    """
    least = MIN_SHARE * codes.size
    for y, x in _edge_pixels(codes.shape):
        if codes[y, x] == black:
            area, *_ = cv2.floodFill(codes, None, (x, y), nodata)
            if area < least:
                cv2.floodFill(codes, None, (x, y), water)
    np.copyto(codes, np.uint8(water), where=codes == black)


def _edge_pixels(shape: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Yield (y, x) of the pixels on a picture's edge."""
    height, width = shape
    for x in range(width):
        yield 0, x
        yield height - 1, x
    for y in range(1, height - 1):
        yield y, 0
        yield y, width - 1
