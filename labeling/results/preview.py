"""Reduced scenes: which pixels a preview samples, and classes as colours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from labeling.classes import PALETTES

PREVIEW_SIDE = 1024
"""Longest side, pixels, of the reduced scene that a quicklook shows."""


def preview_step(*, height: int, width: int) -> int:
    """Return every how many pixels a preview samples the scene; 1 for a small scene."""
    return -(-max(height, width) // PREVIEW_SIDE)


def preview_shape(*, height: int, width: int) -> tuple[int, int]:
    """Return (rows, columns) of a scene's preview."""
    step = preview_step(height=height, width=width)
    return -(-height // step), -(-width // step)


def paint(classes: NDArray[np.uint8], palette: str = "polynya") -> NDArray[np.uint8]:
    """Return class codes (height, width) as colours, u8 (height, width, 3)."""
    table = np.zeros((256, 3), np.uint8)
    for code, rgb in PALETTES[palette].items():
        table[code] = rgb
    return np.asarray(table[classes], np.uint8)
