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
from math import exp, log, prod
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from labeling.chips.fields import Field, add_enlarged
from labeling.chips.loops import Levels, curved, mix, retone
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


class CutPoints(NamedTuple):
    """Where the thresholds cut, V inclusive: open water from 1, then thin ice, then thick ice to 255."""

    water_max: int
    thin_ice_max: int


def draw_tones(rng: np.random.Generator, bands: Levels, cuts: CutPoints) -> None:
    """Give a picture's bands, u8 (3, height, width), random tones; V stays in the range of its class.

    Colours keep their hue; black pixels, which hold no data, stay black.
    """
    toned = np.empty(bands.shape[1:], np.float32)
    curved(bands, draw_curve(rng, cuts), toned)
    if rng.random() < _SHARE_WANDERING:
        other = draw_curve(rng, cuts)
        mix(bands, other, *_wandering(rng, toned.shape), toned)
    if rng.random() < _SHARE_GRADUAL:
        cv2.GaussianBlur(toned, (0, 0), _between(rng, _BLUR), toned)
    spread = np.float32(rng.uniform(*_NOISE))
    retone(bands, toned, draw_noise(rng, toned.shape), spread, *cuts)


def draw_curve(rng: np.random.Generator, cuts: CutPoints) -> Field:
    """Return a rising tone curve, f32 (256,), that maps each class's range of V into a part of itself."""
    ranges, member, along = _classes(cuts)
    draws = iter(rng.random(3 * len(ranges)).tolist())
    parts = []
    for (low, high), used, place, bend in zip(ranges, draws, draws, draws, strict=False):
        width = (_NARROWEST + (1 - _NARROWEST) * used) * (high - low)
        parts.append((low + place * (high - low - width), width, exp(_BEND * (2 * bend - 1))))
    start, width, power = np.array(parts, np.float32)[member].T
    curve = start + width * along**power
    curve[0] = 0.0
    return np.asarray(curve, np.float32)


@lru_cache(8)
def _classes(cuts: CutPoints) -> tuple[list[tuple[int, int]], NDArray[np.int64], Field]:
    """Return lowest and highest V of each class that has any, each V's class, and where in its range it is.

    The latter two are (256,), from 0 at the lowest V of the class to 1 at the highest. 0, which is in none,
    counts as the first.
    """
    ends = (0, *cuts, 255)
    ranges = [(start + 1, end) for start, end in pairwise(ends) if start < end]
    low, high = np.array(ranges).T
    value = np.maximum(np.arange(256), 1)
    member = np.searchsorted(high, value)
    along = (value - low[member]) / np.maximum(high - low, 1)[member]
    return ranges, member, along.astype(np.float32)


def _wandering(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[Field, np.float32]:
    """Return a random field, f32 (height, width), of which 0..1 counts, and in how many steps; 0: smooth."""
    way = _between(rng, _WAYS)
    counts = [2 + int(side / way) for side in shape]
    knots = 2 * rng.random(prod(counts), dtype=np.float32) - 0.5
    field = np.zeros(shape, np.float32)
    add_enlarged(knots, np.array([counts]), np.array([shape]), np.ones(1, np.float32), field)
    steps = rng.integers(*_PATCHES) - 1 if rng.random() < _SHARE_PATCHES else 0
    return field, np.float32(steps)


def _between(rng: np.random.Generator, limits: tuple[float, float]) -> float:
    """Draw a number whose logarithm is evenly spread."""
    return exp(rng.uniform(log(limits[0]), log(limits[1])))
