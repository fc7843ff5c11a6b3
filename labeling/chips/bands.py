"""A picture's bands, each by itself."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def split(picture: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Return copies of the bands of a picture, u8 (height, width, 3), each (height, width)."""
    height, width, count = picture.shape
    # Told where to put them OpenCV takes a third of the time.
    return [np.asarray(band) for band in cv2.split(picture, [*np.empty((count, height, width), np.uint8)])]
