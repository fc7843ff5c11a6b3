"""The label rule: V = max(R, G, B) of the 8-bit picture decides the class.

The published rule is three `inRange` tests on OpenCV's HSV that admit every hue and saturation, so it is a
table over V alone (Iqrah et al. 2024; tests/helpers/oracle.py holds the literal version).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from labeling.classes import IceClass
from labeling.ice.profile import ThresholdSettings

_STRIP_PIXELS = 1 << 18
"""Pixels handled at a time: small enough that the brightness stays in the second-level cache."""


def label_table(settings: ThresholdSettings) -> NDArray[np.uint8]:
    """Return the class code (u8) of each brightness V, shape (256,)."""
    table = np.full(256, IceClass.THICK_ICE, np.uint8)
    table[: settings.thin_ice_max + 1] = IceClass.THIN_ICE
    table[: settings.water_max + 1] = IceClass.WATER
    return table


def brightness(rgb: NDArray[np.uint8], out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """Return V = max(R, G, B), u8 (height, width), of a band-first picture u8 (3, height, width)."""
    red, green, blue = rgb
    value = np.maximum(red, green, out=out)
    return np.maximum(value, blue, out=value)


def label(rgb: NDArray[np.uint8], settings: ThresholdSettings) -> NDArray[np.uint8]:
    """Return the class codes, u8 (height, width), of a band-first picture u8 (3, height, width).

    The same as `label_table(settings)[brightness(rgb)]`. A class code is the number of cut points that the
    brightness is above, and two comparisons are faster than a look-up. No pixel is ignored here; callers
    that know the no-data mask paint it afterwards.
    """
    _, height, width = rgb.shape
    labels = np.empty((height, width), np.uint8)
    rows = max(1, _STRIP_PIXELS // max(1, width))
    strip_value = np.empty((rows, width), np.uint8)
    for top in range(0, height, rows):
        strip = labels[top : top + rows]
        value = brightness(rgb[:, top : top + rows], out=strip_value[: len(strip)])
        cv2.threshold(value, settings.thin_ice_max, 1, cv2.THRESH_BINARY, dst=strip)
        cv2.threshold(value, settings.water_max, 1, cv2.THRESH_BINARY, dst=value)
        cv2.add(strip, value, dst=strip)
    return labels
