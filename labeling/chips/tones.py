"""Other brightness for ice and water in training pictures, without a change of a single label.

Labels by thresholds look at V = max(R, G, B) alone, so any tone curve that maps each class's range of V into
itself leaves them true. Narrow and wide, bright and dark ranges make smooth and rough, young and old ice out
of the same picture: a network that has met them tells thin ice from water under cloud by more than the shades
that the training scenes happen to have. In half of the pictures the curve is another from place to place,
smoothly as in ice of uneven age or in patches as where plates were pushed together, and in half of them edges
are blurred as far as no pixel leaves its class.
"""

from __future__ import annotations

from math import exp, log
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from labeling.chips.noise import draw_noise
from labeling.classes import CLASS_COUNT

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


class CutPoints(NamedTuple):
    """Where the thresholds cut, V inclusive: open water from 1, then thin ice, then thick ice to 255."""

    water_max: int
    thin_ice_max: int


def draw_tones(rng: np.random.Generator, picture: NDArray[np.uint8], cuts: CutPoints) -> NDArray[np.uint8]:
    """Return a picture, u8 (height, width, 3), in random tones; every pixel's V stays in its class's range.

    Colours keep their hue; black pixels, which hold no data, stay black.
    """
    bands = cv2.split(np.ascontiguousarray(picture))
    value = np.asarray(cv2.max(cv2.max(bands[0], bands[1]), bands[2]), np.uint8)
    lowest, highest = _limits(cuts)
    toned = np.asarray(cv2.LUT(value, draw_curve(rng, cuts)), np.float32)
    if rng.random() < _SHARE_WANDERING:
        other = np.asarray(cv2.LUT(value, draw_curve(rng, cuts)), np.float32)
        toned += _wandering(rng, value.shape) * (other - toned)
    if rng.random() < _SHARE_GRADUAL:
        toned = np.asarray(cv2.GaussianBlur(toned, (0, 0), _between(rng, _BLUR)), np.float32)
    toned += np.float32(rng.uniform(*_NOISE)) * draw_noise(rng, value.shape)
    toned = np.clip(np.rint(toned), cv2.LUT(value, lowest), cv2.LUT(value, highest))
    ratio = toned / np.maximum(value, 1)
    return np.asarray(cv2.merge([cv2.multiply(band, ratio, dtype=cv2.CV_8U) for band in bands]), np.uint8)


def draw_curve(rng: np.random.Generator, cuts: CutPoints) -> NDArray[np.float32]:
    """Return a rising tone curve, f32 (256,), that maps each class's range of V into a part of itself."""
    curve = np.zeros(256, np.float32)
    for low, high in _ranges(cuts):
        width = rng.uniform(_NARROWEST, 1.0) * (high - low)
        start = rng.uniform(low, high - width)
        along = np.linspace(0.0, 1.0, high - low + 1) ** exp(rng.uniform(-_BEND, _BEND))
        curve[low : high + 1] = start + width * along
    return curve


def _wandering(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return a random field, f32 0..1 (height, width): smooth, or in patches with sharp outlines."""
    way = _between(rng, _WAYS)
    knots = rng.random([2 + int(side / way) for side in shape], dtype=np.float32)
    smooth = cv2.resize(2 * knots - 0.5, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    field = np.asarray(np.clip(smooth, 0, 1), np.float32)
    if rng.random() < _SHARE_PATCHES:
        steps = np.float32(rng.integers(*_PATCHES) - 1)
        field = np.rint(field * steps) / steps
    return field


def _between(rng: np.random.Generator, limits: tuple[float, float]) -> float:
    """Draw a number whose logarithm is evenly spread."""
    return exp(rng.uniform(log(limits[0]), log(limits[1])))


def _ranges(cuts: CutPoints) -> list[tuple[int, int]]:
    """Return lowest and highest V of each class that has any, in the order of the class codes."""
    ends = (0, *cuts, 255)
    found = [(ends[code] + 1, ends[code + 1]) for code in range(CLASS_COUNT)]
    return [(low, high) for low, high in found if low <= high]


def _limits(cuts: CutPoints) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return, for each V, f32 (256,), the lowest and the highest V of its class."""
    lowest, highest = np.zeros(256, np.float32), np.zeros(256, np.float32)
    for low, high in _ranges(cuts):
        lowest[low : high + 1], highest[low : high + 1] = low, high
    return lowest, highest
