"""From the 8-bit picture to what the network sees. Training and prediction share this one function.

NumPy and OpenCV only.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from training.settings.config import Channels, Scaling

CHANNEL_COUNT: Final[dict[Channels, int]] = {"rgb": 3, "grey": 1}


def network_input(images: NDArray[np.uint8], channels: Channels, scaling: Scaling) -> NDArray[np.float32]:
    """Turn pictures (N, H, W, 3), u8 in the order R, G, B, into network input (N, H, W, C), float32 0..1.

    `channels` "grey" gives C = 1 by OpenCV's weights (0.299 R + 0.587 G + 0.114 B, rounded to 8 bit).
    `scaling` "255" divides by 255. "column-l2" divides every picture column by its L2 norm as the published
    code of Iqrah et al. does; it loses the brightness that defines the classes and is here to reproduce only.
    Raises ValueError for anything but u8 pictures of three channels.
    """
    levels = picture_levels(images, channels)
    return levels.astype(np.float32) / np.float32(255) if scaling == "255" else unit_columns(levels)


def picture_levels(images: NDArray[np.uint8], channels: Channels) -> NDArray[np.uint8]:
    """Return the channels of pictures as `network_input` does, not yet scaled: u8 (N, H, W, C)."""
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
        raise ValueError(f"expected u8 pictures (N, H, W, 3), not {images.dtype} {images.shape}")
    return _grey(images) if channels == "grey" else images


def _grey(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    count, height, width, _ = images.shape
    if images.size == 0:
        return np.zeros((count, height, width, 1), np.uint8)
    # One tall picture, because OpenCV converts one picture at a time.
    tall = np.ascontiguousarray(images).reshape(count * height, width, 3)
    return np.asarray(cv2.cvtColor(tall, cv2.COLOR_RGB2GRAY), np.uint8).reshape(count, height, width, 1)


def unit_columns(levels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return levels (N, H, W, C), u8, over the L2 norm of their columns, float32."""
    values = levels.astype(np.float32)
    norms = np.sqrt(np.sum(np.square(values), axis=1, keepdims=True))
    return np.asarray(values / np.where(norms == 0, 1, norms), np.float32)
