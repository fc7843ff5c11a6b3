"""No-data in pictures that declare none: black regions that reach in from the picture's edge."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

MIN_SHARE: Final = 0.001
"""A black region is no-data from this share of the picture on; smaller ones are dark water."""


INNER_SHARE: Final = 0.01
"""Share of a picture from which on black regions inside of it are worth a word."""

LEAST_INNER: Final = 64
"""Pixels that each of them has, at least: a few dark pixels are water, masks of clouds have many holes."""


def settle(codes: NDArray[np.uint8], *, black: int, nodata: int, water: int) -> int:
    """Turn the `black` pixels of a picture's codes, u8 (height, width), into `nodata` or `water`, in place.

    Return how many pixels lie in regions of LEAST_INNER or more that became water: 0 where they are less than
    INNER_SHARE of the picture.

    A 4-connected black region is no-data when it touches the picture's edge and holds at least MIN_SHARE of
    the picture. The rule is for pictures without a mask only: a product's own no-data comes from its bands,
    so no pixel is `nodata` before.
    """
    least = MIN_SHARE * codes.size
    for y, x in _on_edge(codes, black):
        if codes[y, x] == black:
            area, *_ = cv2.floodFill(codes, None, (x, y), nodata)
            if area < least:
                cv2.floodFill(codes, None, (x, y), water)
    inside = codes == black
    np.copyto(codes, np.uint8(water), where=inside)
    if np.count_nonzero(inside) < INNER_SHARE * codes.size:
        return 0
    _, _, found, _ = cv2.connectedComponentsWithStats(inside.view(np.uint8), connectivity=4)
    areas = found[1:, cv2.CC_STAT_AREA]  # the first is all that is not black
    inner = int(areas[areas >= LEAST_INNER].sum())
    return inner if inner >= INNER_SHARE * codes.size else 0


def grow(codes: NDArray[np.uint8], pixels: int, *, nodata: int) -> None:
    """Turn all pixels within a square of `pixels` around those of `nodata` into it too, in place.

    Codes above `nodata` stay. For pictures whose compression smears the edge of what is black.
    """
    square = np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)
    near = cv2.dilate((codes == nodata).view(np.uint8), square).view(np.bool_)
    np.copyto(codes, np.uint8(nodata), where=near & (codes < nodata))


def _on_edge(codes: NDArray[np.uint8], code: int) -> Iterator[tuple[int, int]]:
    """Yield (y, x) of the pixels on a picture's edge that have a code when their side is come to."""
    for y in (0, -1):
        yield from ((y % len(codes), int(x)) for x in np.flatnonzero(codes[y] == code))
    for x in (0, -1):
        yield from ((int(y), x % codes.shape[1]) for y in np.flatnonzero(codes[:, x] == code))
