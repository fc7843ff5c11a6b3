"""The per-pixel steps of labelling, each in one pass over the pixels.

NumPy and OpenCV need a pass, and an array, for every operation; a scene of a Sentinel-2 tile is larger than
any cache, so passes are what costs. numba compiles these loops to vector code.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from labeling.ice.kernels import compiled


@compiled
def brightness_and_state(rgb: NDArray[np.uint8], value: NDArray[np.uint8], state: NDArray[np.uint8]) -> None:
    """Fill `value` with max(R, G, B) and `state` with 2 for black, else 0.

    `rgb` is u8 (3, n), the others u8 (n,).
    """
    for i in range(value.size):
        v = max(rgb[0, i], rgb[1, i], rgb[2, i])
        value[i] = v
        state[i] = np.uint8(v == 0) << 1


@compiled
def grey_and_state(
    rgb: NDArray[np.uint8], water_max: int, value: NDArray[np.uint8], state: NDArray[np.uint8]
) -> None:
    """Fill `value` with grey, 255 up to `water_max`, and `state` with 0, 1 up to `water_max`, 2 for black.

    `water_max` is a bound of max(R, G, B); arrays as above. Grey has OpenCV's weights and rounding:
    0.299 R + 0.587 G + 0.114 B in steps of 2 ** -15.
    """
    limit = np.uint8(water_max)
    for i in range(value.size):
        r, g, b = rgb[0, i], rgb[1, i], rgb[2, i]
        v = max(r, g, b)
        grey = (np.int32(r) * 9798 + np.int32(g) * 19235 + np.int32(b) * 3735 + 16384) >> 15
        water = v <= limit
        value[i] = np.uint8(255) if water else np.uint8(grey)
        state[i] = np.uint8(water) + np.uint8(v == 0)


@compiled
def look_up(
    key: NDArray[np.uint8], state: NDArray[np.uint8], table: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> None:
    """Fill `labels` with table[state, key]; `table` is u8 (states, 256), the others u8 (n,)."""
    for i in range(labels.size):
        labels[i] = table[state[i], key[i]]


@compiled
def count_pairs(key: NDArray[np.uint8], state: NDArray[np.uint8], counts: NDArray[np.int64]) -> None:
    """Add to `counts`, int64 (2, states, 256), how many pixels have each state and key.

    Sum over its first axis: neighbours count in different halves, because adding to a number must wait until
    the last addition to it is done. The others are u8 (n,).
    """
    for i in range(key.size):
        counts[i & 1, state[i], key[i]] += 1
