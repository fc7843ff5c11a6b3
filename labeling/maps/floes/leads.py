"""Leads: openings within the pack that are narrower than a width, and how their area spreads over widths.

An opening is what is neither ice nor without a class. It is narrower than a width where no circle of that
diameter, lying wholly in openings, covers it: morphology's opening by a disc, at a pixel's precision. Water
that the widest circle covers is open sea or a polynya, and no lead. What has no class, and what lies beyond
the border, counts as open for this, so that nothing becomes a lead because the data ends there.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from labeling.classes import IGNORE, IceClass

WIDTHS: Final = (50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0)
"""Metres; leads are openings narrower than the last."""


def find_leads(
    classes: NDArray[np.uint8],
    widths: Sequence[float],
    *,
    openings: Sequence[int] = (IceClass.WATER, IceClass.THIN_ICE),
) -> NDArray[np.uint8]:
    """Return how narrow openings are, u8 (height, width): 0 where there is no lead.

    Else it is 1 + the index of the smallest of the widths that the opening is narrower than. `classes` are
    codes, u8 (height, width); `widths` rise, in pixels, and `openings` are codes.

    Looks at `halo(widths)` pixels around a pixel, so blocks with that much around them have the same leads.
    Takes some 15 bytes a pixel, and twice the widest width on each side.
    """
    unknown = classes == IGNORE
    opened = np.isin(classes, list(openings))
    narrower = np.zeros(classes.shape, np.uint8)
    edge = halo(widths)
    around = cv2.copyMakeBorder(
        (opened | unknown).astype(np.uint8), edge, edge, edge, edge, cv2.BORDER_CONSTANT, value=1
    )
    # From a pixel's middle to the edge of the nearest ice, which lies half a pixel before its middle.
    room = _distance(around) - np.float32(0.5)
    for number in range(len(widths), 0, -1):
        radius = np.float32(widths[number - 1] / 2)
        # Half a pixel more: a staircase is narrower between its steps than the channel that it draws.
        covered = _distance((room < radius).astype(np.uint8)) <= radius + np.float32(0.5)
        inside = covered[edge : edge + classes.shape[0], edge : edge + classes.shape[1]]
        narrower[opened & ~inside] = number
    return narrower


def halo(widths: Sequence[float]) -> int:
    """Return how many pixels around a pixel decide what it is."""
    return ceil(widths[-1]) + 2


def _distance(inside: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the distance of pixels to the nearest 0, f32; a large number where there is none."""
    if inside.all():
        return np.full(inside.shape, np.float32(1e9))
    return np.asarray(cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE))
