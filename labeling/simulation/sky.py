"""The simulated sky: thin cloud, its shadow, colour and the sensor."""

from __future__ import annotations

from math import cos, sin
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from labeling.simulation.noise import Field, fractal

_STEP: Final = 4
"""Pixels between the points of the cloud field; clouds are soft."""

_WIDEST_COVER: Final = 0.75
"""Share of the sky that holds cloud when its amount is 1."""

CLOUD_VALUE: Final = 232.0
"""Brightness V of a cloud too thick to see through."""

BACKSCATTER: Final = 0.45
"""Share of the optical depth that turns light back to the sensor."""

DARKEST_SHADOW: Final = 0.46
"""Share of the brightness that the deepest shadow takes."""

_SHADOW_GAIN: Final = 2.2
"""How fast shadow deepens with the optical depth of the cloud that casts it."""

_SHADOW_DISTANCE: Final = (120.0, 320.0)
"""Pixels from a cloud to its shadow, least and most."""

_PENUMBRA: Final = 4.0
"""Pixels, standard deviation of the blur of a shadow."""

BLUR: Final = 0.47
"""Pixels, standard deviation of the sensor's blur: edges are blended as in real pictures."""

_SENSOR_NOISE: Final = 1.1
"""Standard deviation in levels of a band."""


class Sky(NamedTuple):
    """What lies between the sun, the surface and the sensor; each f32 (height, width)."""

    cloud: Field
    """Optical depth, 0 = clear, up to about 2."""
    shadow: Field
    """Strength 0..1, 0 = full sun."""


def make_sky(rng: np.random.Generator, *, height: int, width: int, amount: float, sun: float) -> Sky:
    """Return thin cloud (`amount` 0..1, 0 = none) and its shadow.

    `sun` is the direction, radians from the x axis towards y, that light travels.
    """
    if amount == 0:
        clear = np.zeros((height, width), np.float32)
        return Sky(clear, clear)
    distance = rng.uniform(*_SHADOW_DISTANCE)
    shift_y, shift_x = round(distance * sin(sun)), round(distance * cos(sun))
    depth = _depth(rng, height + abs(shift_y), width + abs(shift_x), amount)
    # A cloud at some pixel darkens the pixel one shift further along the light.
    cloud = _window(depth, max(shift_y, 0), max(shift_x, 0), height, width)
    caster = _window(depth, max(-shift_y, 0), max(-shift_x, 0), height, width)
    # The sun is a disc and clouds are deep, so shadows are softer than their clouds.
    soft = np.asarray(cv2.GaussianBlur(caster, (0, 0), _PENUMBRA), np.float32)
    return Sky(cloud, 1.0 - np.exp(-_SHADOW_GAIN * soft))


def _depth(rng: np.random.Generator, height: int, width: int, amount: float) -> Field:
    """Return optical depth, f32: wind-drawn banks with clear sky between them."""
    wind = rng.uniform(0.0, np.pi)
    bank = fractal(
        rng, height=height, width=width, slope=2.4, longest=700, step=_STEP, stretch=2.2, angle=wind
    )
    wisp = fractal(
        rng, height=height, width=width, slope=2.0, longest=220, step=_STEP, stretch=2.5, angle=wind
    )
    # More cloud means both more of the sky covered and thicker banks.
    bank += 0.25 * wisp
    above = np.maximum(bank - np.quantile(bank[::8, ::8], 1.0 - _WIDEST_COVER * amount), 0.0)
    return np.asarray((0.25 + 0.45 * amount) * above * (1.0 + 0.12 * wisp).clip(0.3), np.float32)


def _window(field: Field, row: int, column: int, height: int, width: int) -> Field:
    return np.ascontiguousarray(field[row : row + height, column : column + width])


def expose(rng: np.random.Generator, value: Field, sky: Sky) -> NDArray[np.uint8]:
    """Return the picture, u8 (3, height, width) R, G, B in 1..255, of a surface of brightness V under a sky.

    Cloud lifts dark surfaces and veils bright ones, shadow takes a share of the light, and the sensor blurs,
    saturates at 255 and adds noise.
    """
    height, width = value.shape
    warmth = rng.uniform(-0.7, 1.3) + 0.25 * fractal(
        rng, height=height, width=width, slope=2.0, longest=500, step=8
    )
    clear = np.exp(-BACKSCATTER * sky.cloud)
    seen = value * _sunlight(rng, height, width) * (1.0 - DARKEST_SHADOW * sky.shadow) * clear
    seen += CLOUD_VALUE * (1.0 - clear)
    seen = np.asarray(cv2.GaussianBlur(seen, (0, 0), BLUR), np.float32)
    warmth *= clear**3
    return np.stack([_digitise(rng, seen * band) for band in _tint(seen, warmth)])


def _sunlight(rng: np.random.Generator, height: int, width: int) -> Field:
    """Return the relative light of a low sun across the picture, f32, about 0.96..1.04."""
    angle = rng.uniform(0.0, 2.0 * np.pi)
    along_y = np.linspace(-1.0, 1.0, height, dtype=np.float32)[:, None] * sin(angle)
    along_x = np.linspace(-1.0, 1.0, width, dtype=np.float32)[None, :] * cos(angle)
    return np.asarray(1.0 + rng.uniform(0.0, 0.03) * (along_y + along_x), np.float32)


def _tint(seen: Field, warmth: Field) -> tuple[Field, Field, Field]:
    """Return the factors of red, green and blue, each f32; the largest is 1, so that V is kept.

    Dark surfaces are brown where `warmth` is 1 and bluish where it is -1; bright ones are nearly white.
    """
    dark = np.exp(seen / np.float32(-60.0))
    green = (0.005 + 0.27 * dark) * np.abs(warmth)
    other = (0.010 + 0.42 * dark) * np.abs(warmth)
    warm = warmth > 0
    one = np.float32(1.0)
    return (
        np.where(warm, one, one - 0.8 * other),
        one - np.where(warm, green, 0.6 * green),
        np.where(warm, one - other, one),
    )


def _digitise(rng: np.random.Generator, band: Field) -> NDArray[np.uint8]:
    noise = rng.standard_normal(band.shape, dtype=np.float32)
    return np.clip(np.rint(band + _SENSOR_NOISE * noise), 1, 255).astype(np.uint8)
