"""Other brightness for ice and water in training pictures, without a change of a single label.

Labels by thresholds look at V = max(R, G, B) alone, so any tone curve that maps each class's range of V into
itself leaves them true. Narrow and wide, bright and dark ranges make smooth and rough, young and old ice out
of the same picture: a network that has met them tells thin ice from water under cloud by more than the shades
that the training scenes happen to have. In half of the pictures the curve is another from place to place,
smoothly as in ice of uneven age or in patches as where plates were pushed together, and in half of them edges
are blurred as far as no pixel leaves its class.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from math import exp, log
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from labeling.chips.bands import split
from labeling.chips.loops import add_enlarged, bounded_ratio, mix, multiply
from labeling.chips.noise import draw_noise

_NARROWEST: Final = 0.1
"""Least part of a class's range of V that a curve uses."""

_BEND: Final = 0.9
"""Largest natural logarithm of a curve's exponent, either way."""

_SHARE_WANDERING: Final = 0.5
_SHARE_GRADUAL: Final = 0.5
"""Of all pictures: the curve is another from place to place; edges are gradual."""

_WAYS: Final = (16, 256)
"""Pixels over which a curve turns into another."""

_SHARE_PATCHES: Final = 0.5
_PATCHES: Final = (2, 6)
"""Of all curves that wander: those that do in steps, and how many steps there are."""

_BLUR: Final = (0.4, 3.0)
"""Standard deviation, pixels, of gradual edges."""

_NOISE: Final = (0.3, 1.5)
"""Standard deviation, in levels, of the sensor's noise, which a narrow range would take away."""


Numbers = NDArray[np.float64]


class CutPoints(NamedTuple):
    """Where the thresholds cut, V inclusive: open water from 1, then thin ice, then thick ice to 255."""

    water_max: int
    thin_ice_max: int


def draw_tones(rng: np.random.Generator, picture: NDArray[np.uint8], cuts: CutPoints) -> NDArray[np.uint8]:
    """Return a picture, u8 (height, width, 3), in random tones; every pixel's V stays in its class's range.

    Colours keep their hue; black pixels, which hold no data, stay black.
    """
    bands = split(picture)
    value = np.asarray(cv2.max(cv2.max(bands[0], bands[1]), bands[2]), np.uint8)
    toned = np.asarray(cv2.LUT(value, draw_curve(rng, cuts)), np.float32)
    if rng.random() < _SHARE_WANDERING:
        other = np.asarray(cv2.LUT(value, draw_curve(rng, cuts)), np.float32)
        mix(toned, other, *_wandering(rng, value.shape))
    if rng.random() < _SHARE_GRADUAL:
        toned = np.asarray(cv2.GaussianBlur(toned, (0, 0), _between(rng, _BLUR)), np.float32)
    spread = np.float32(rng.uniform(*_NOISE))
    bounded_ratio(value, toned, draw_noise(rng, value.shape), spread, *cuts)
    for band in bands:
        multiply(band, toned)
    return np.asarray(cv2.merge(bands), np.uint8)


def draw_curve(rng: np.random.Generator, cuts: CutPoints) -> NDArray[np.float32]:
    """Return a rising tone curve, f32 (256,), that maps each class's range of V into a part of itself."""
    low, high, member, along = _classes(cuts)
    used, place, bend = rng.random((len(low), 3)).T
    width = (_NARROWEST + (1 - _NARROWEST) * used) * (high - low)
    start = low + place * (high - width - low)
    power = np.exp(_BEND * (2 * bend - 1))
    curve = start[member] + width[member] * along ** power[member]
    curve[0] = 0.0
    return np.asarray(curve, np.float32)


@lru_cache(8)
def _classes(cuts: CutPoints) -> tuple[Numbers, Numbers, NDArray[np.int64], Numbers]:
    """Return lowest and highest V of each class that has any, each V's class, and where in its range it is.

    The latter two are (256,), from 0 at the lowest V of the class to 1 at the highest. 0, which is in none,
    counts as the first.
    """
    ends = (0, *cuts, 255)
    ranges = [(start + 1, end) for start, end in pairwise(ends) if start < end]
    low, high = np.array(ranges, np.float64).T
    value = np.maximum(np.arange(256), 1)
    member = np.searchsorted(high, value)
    return low, high, member, (value - low[member]) / np.maximum(high - low, 1)[member]


def _wandering(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[NDArray[np.float32], np.float32]:
    """Return a random field, f32 (height, width), of which 0..1 counts, and in how many steps; 0: smooth."""
    way = _between(rng, _WAYS)
    knots = rng.random([2 + int(side / way) for side in shape], dtype=np.float32)
    field = np.zeros(shape, np.float32)
    add_enlarged(2 * knots - 0.5, *shape, field)
    steps = rng.integers(*_PATCHES) - 1 if rng.random() < _SHARE_PATCHES else 0
    return field, np.float32(steps)


def _between(rng: np.random.Generator, limits: tuple[float, float]) -> float:
    """Draw a number whose logarithm is evenly spread."""
    return exp(rng.uniform(log(limits[0]), log(limits[1])))
