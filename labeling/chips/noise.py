"""The sensor's noise, quickly: numbers that are normal to the eye of an 8-bit picture."""

from __future__ import annotations

from math import prod
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from labeling.ice.kernels import compiled

_QUANTILES: Final = np.array([NormalDist().inv_cdf((place + 0.5) / 256) for place in range(256)])
GRAINS: Final = (_QUANTILES / _QUANTILES.std()).astype(np.float32)
"""256 equally likely quantiles of the normal distribution, f32: of mean 0 and standard deviation 1, within
2.9 of 0, a hundredth apart in the middle, which is far less than a level where noise is a level or two.

Compiled into loops.py, whose kept code numba does not renew when this changes: change that file too.
"""


def draw_noise(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Draw independent places in GRAINS, u8 (height, width); loops look the numbers up as they need them."""
    count = prod(shape)
    words = np.empty(-(-count // 8), np.uint64)
    _fill(np.uint64(rng.bit_generator.random_raw()), words)
    return words.view(np.uint8)[:count].reshape(shape)


@compiled
def _fill(seed: np.uint64, words: NDArray[np.uint64]) -> None:
    """Fill words (n,) by SplitMix64 (Steele, Lea and Flood 2014), many at once.

    Words of NumPy's generator come one after the other, at several times the cost.
    """
    for i in range(words.size):
        word = seed + np.uint64(i) * np.uint64(0x9E3779B97F4A7C15)
        word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        words[i] = word ^ (word >> np.uint64(31))
