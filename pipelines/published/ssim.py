"""Structural similarity of pictures and label maps (Wang et al. 2004, "Image quality assessment")."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from labeling.classes import CLASS_COUNT, IGNORE

_SIDE: Final = 11
_SIGMA: Final = 1.5
"""Pixels; side and standard deviation of the Gaussian window."""

_C1: Final = (0.01 * 255) ** 2
_C2: Final = (0.03 * 255) ** 2

LEVELS: Final = (0, 128, 255)
"""Grey level that stands for each class code when label maps are compared."""


def ssim(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Return the mean structural similarity, -1..1, of two grey pictures, u8 (height, width); 1 if equal.

    Only windows that lie wholly inside count. Raises ValueError for shapes that differ or are too small.
    """
    if first.shape != second.shape or min(first.shape) < _SIDE:
        raise ValueError(
            f"SSIM needs two pictures of one shape, at least {_SIDE} pixels a side, "
            f"not {first.shape} and {second.shape}"
        )
    one, two = first.astype(np.float64), second.astype(np.float64)
    mean_one, mean_two = _window(one), _window(two)
    spread_one = _window(one * one) - mean_one**2
    spread_two = _window(two * two) - mean_two**2
    shared = _window(one * two) - mean_one * mean_two
    light = (2 * mean_one * mean_two + _C1) / (mean_one**2 + mean_two**2 + _C1)
    structure = (2 * shared + _C2) / (spread_one + spread_two + _C2)
    return float((light * structure).mean())


def label_ssim(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Return the structural similarity of two label maps, class codes (height, width), drawn in LEVELS.

    Where either has no class, both are drawn as water.
    """
    table = np.zeros(256, np.uint8)
    table[:CLASS_COUNT] = LEVELS
    unknown = (first == IGNORE) | (second == IGNORE)
    drawn = (np.where(unknown, np.uint8(0), table[classes]) for classes in (first, second))
    return ssim(*drawn)


def _window(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weighted mean around each pixel whose window lies inside."""
    blurred = cv2.GaussianBlur(values, (_SIDE, _SIDE), _SIGMA)
    rim = _SIDE // 2
    return np.asarray(blurred[rim:-rim, rim:-rim], np.float64)
