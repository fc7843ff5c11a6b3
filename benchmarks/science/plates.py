"""Another kind of ice to train on: even plates with sharp borders, which the simulator does not draw.

A network that has met one way of drawing ice only takes smooth grey ice for water under a veil: that is the
only smooth grey it knows. Plates are pieces of a Voronoi pattern, bent by smooth noise, small ones strewn on
large ones. Each is of one class, one tone and one texture, and some of their borders have opened as leads.
"""

from __future__ import annotations

from math import exp, log
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from labeling.classes import IceClass
from labeling.simulation.noise import Field, fractal
from labeling.simulation.sky import Sky, expose
from labeling.simulation.surface import Surface

_RANGES: Final = {
    IceClass.WATER: (3.0, 28.0),
    IceClass.THIN_ICE: (33.0, 200.0),
    IceClass.THICK_ICE: (209.0, 262.0),
}
"""Brightness V of each class: what the thresholds call it, less some levels for sunlight and sensor noise."""

_LARGE: Final = (6.0, 300.0)
_SMALL: Final = (300.0, 4000.0)
"""How many large plates a picture has, and how many small ones it would have if they lay everywhere."""

_CONTRAST: Final = (0.005, 0.06)
"""Standard deviation of a plate's texture, as a share of its class's range of V; stronger is like cloud."""


def plate_picture(seed: list[int], side: int) -> NDArray[np.uint8]:
    """Return a picture of plates under a clear sky, u8 (side, side, 3) R, G, B."""
    rng = np.random.default_rng(seed)
    value = make_plates(rng, side).value
    clear = np.zeros_like(value)
    return np.ascontiguousarray(expose(rng, value, Sky(clear, clear)).transpose(1, 2, 0))


def make_plates(rng: np.random.Generator, side: int) -> Surface:
    """Return a surface of side x side pixels: classes u8 and brightness V f32."""
    plates = _strewn(rng, side)
    water, thin = rng.uniform(0.02, 0.35), rng.uniform(0.05, 0.75)
    shares = np.array([water, thin, max(0.05, 1.0 - water - thin)])
    kinds = rng.choice(len(shares), int(plates.max()) + 1, p=shares / shares.sum()).astype(np.uint8)
    classes = np.ascontiguousarray(kinds[plates])
    value = _toned(rng, plates, kinds)
    _crack(rng, plates, classes, value)
    low, high = (np.array([_RANGES[kind][end] for kind in IceClass], np.float32)[classes] for end in (0, 1))
    return Surface(classes, np.clip(value, low, high))


def _strewn(rng: np.random.Generator, side: int) -> NDArray[np.int32]:
    """Return the number of each pixel's plate, int32 (side, side): large plates, with small ones on parts."""
    large, small = (_bent(rng, _pattern(rng, side, many), side) for many in (_LARGE, _SMALL))
    lies = rng.random(int(small.max()) + 1) < rng.uniform(0.1, 0.9)
    where = fractal(rng, height=side, width=side, slope=2.2, longest=side // 2, step=4)
    strewn = lies[small] & (where > rng.uniform(-0.5, 2.0))
    return np.asarray(np.where(strewn, large.max() + 1 + small, large), np.int32)


def _pattern(rng: np.random.Generator, side: int, many: tuple[float, float]) -> NDArray[np.int32]:
    """Return the number of the nearest of some random points, int32, with a margin; sizes of plates vary."""
    wide = side + 2 * (side // 8)
    count = min(int(exp(rng.uniform(log(many[0]), log(many[1])))), wide * wide // 64)
    # Points crowd where the density is high: smaller plates lie beside larger ones.
    crowd = fractal(rng, height=wide, width=wide, slope=2.0, longest=side // 2, step=8)
    density = np.exp(1.5 * crowd.ravel().astype(np.float64))
    places = rng.choice(wide * wide, count, replace=False, p=density / density.sum())
    points = np.full(wide * wide, 255, np.uint8)
    points[places] = 0
    _, nearest = cv2.distanceTransformWithLabels(
        points.reshape(wide, wide), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    return np.asarray(nearest, np.int32)


def _bent(rng: np.random.Generator, pattern: NDArray[np.int32], side: int) -> NDArray[np.int32]:
    """Return the middle of a pattern with its straight borders bent, int32 (side, side)."""
    margin = (len(pattern) - side) // 2
    rows, columns = np.mgrid[:side, :side].astype(np.float32) + np.float32(margin)
    reach = np.float32(rng.uniform(0.002, 0.03) * side)
    for axis in (rows, columns):
        axis += reach * fractal(rng, height=side, width=side, slope=2.2, longest=side // 5, step=2)
    bent = cv2.remap(
        pattern.astype(np.float32), columns, rows, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(bent, np.int32)


def _toned(rng: np.random.Generator, plates: NDArray[np.int32], kinds: NDArray[np.uint8]) -> Field:
    """Return V, f32 (side, side): every plate has its tone, its texture and how strongly that shows."""
    count = len(kinds)
    tone, span = np.zeros(count), np.zeros(count)
    for kind in IceClass:
        low, high = _RANGES[kind]
        here = kinds == kind
        # Ice of one age looks alike: a scene's tones crowd around one or two.
        middle = rng.uniform(low, high, 2)[rng.integers(0, 2, here.sum())]
        span[here] = high - low
        tone[here] = middle + rng.normal(0.0, rng.uniform(0.02, 0.3) * (high - low), here.sum())
    contrast = span * np.exp(rng.uniform(*np.log(_CONTRAST), count))
    textures = _textures(rng, len(plates))
    # As many plates are even as have any one texture.
    shown = np.choose(rng.integers(0, len(textures), count)[plates], textures)
    return np.asarray(tone[plates] + contrast[plates] * shown, np.float32)


def _textures(rng: np.random.Generator, side: int) -> list[Field]:
    """Return an even surface, a sloping, a streaked and a patchy one, f32 (side, side), std 0 or about 1."""
    slope = fractal(rng, height=side, width=side, slope=2.8, longest=side // 2, step=8)
    wind, stretch = rng.uniform(0.0, np.pi), rng.uniform(3.0, 8.0)
    streaks = fractal(
        rng, height=side, width=side, slope=1.3, longest=40, step=1, stretch=stretch, angle=wind
    )
    patches = np.tanh(4.0 * fractal(rng, height=side, width=side, slope=1.9, longest=rng.uniform(8, 60)))
    return [np.zeros_like(slope), slope, streaks, np.asarray(patches, np.float32)]


def _crack(
    rng: np.random.Generator, plates: NDArray[np.int32], classes: NDArray[np.uint8], value: Field
) -> None:
    """Open some of the borders between plates, in place: leads of water or of thin ice."""
    side = len(plates)
    border = cv2.morphologyEx(plates.astype(np.float32), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    where = fractal(rng, height=side, width=side, slope=2.2, longest=side // 3, step=4)
    width = int(rng.integers(1, 7))
    opened = border & (where > rng.uniform(-0.5, 2.0))
    lead = cv2.dilate(opened.astype(np.uint8), np.ones((width, width), np.uint8)) > 0
    kind = IceClass.WATER if rng.random() < 0.5 else IceClass.THIN_ICE
    classes[lead] = kind
    value[lead] = rng.uniform(*_RANGES[kind])
