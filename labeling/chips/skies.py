"""Random thin cloud and shadow drawn over pictures of clear scenes, to train a network on what it will meet.

The label stays that of the clear picture, so the network learns to look through the sky. None of this is
the sky that simulates test scenes (simulation/sky.py): the fields are built another way (lattice noise in
octaves, turned and stretched, instead of a filtered Gaussian spectrum), shapes and shadows are drawn from
wider ranges, and light, colour and noise of a cloud are drawn anew for each picture. A network that does
well under the simulated sky has therefore not been shown that sky.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import cos, exp, log, sin
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from labeling.chips.bands import split
from labeling.chips.loops import Field, add_enlarged, look_through
from labeling.chips.noise import draw_noise

_STEP: Final = 4
"""Pixels between the points of a field; clouds are soft."""

_FEATURE: Final = (50.0, 700.0)
"""Pixels, the size of the largest features of a cloud."""

_FINEST: Final = 12.0
"""Pixels below which no features are added; each octave's are half the size of those before."""

_ROUGHNESS: Final = (0.35, 0.7)
"""Strength of an octave relative to the one before."""

_STRETCH: Final = (1.0, 4.0)
"""How many times longer than wide features are."""

_COVER: Final = (0.2, 1.3)
"""Share of the lattice values that are cloud; beyond 1 there is no gap, and some cloud everywhere."""

_VEIL: Final = (0.02, 0.65)
"""Share of the light that comes from the cloud where it is deepest."""

_DARKEST: Final = (0.03, 0.55)
"""Share of the light that the deepest shadow takes."""

_DISTANCE: Final = (20.0, 500.0)
"""Pixels from a cloud to its shadow."""

_PENUMBRA: Final = (1.0, 12.0)
"""Pixels, standard deviation of a shadow's blur."""

_CLOUD_VALUE: Final = (195.0, 255.0)
"""Brightness V of the cloud itself where thick ice begins above `_THICK`; in proportion elsewhere."""

_THICK: Final = 204

_CLOUD_TINT: Final = 0.06
"""Largest relative difference of the cloud's colours from grey."""

_NOISE: Final = (0.3, 1.6)
"""Standard deviation, in levels, of the noise that the sensor adds whatever the light."""


_SHARE_SHADOW_ONLY: Final = 0.2
_SHARE_CLOUD_ONLY: Final = 0.2
"""Of all skies: the cloud or the shadow lies outside the picture."""

_SHARE_FILAMENTS: Final = 0.25
"""Of all skies: drawn-out fibres along the noise's middle contour instead of patches."""


class Veil(NamedTuple):
    """What a sky does to a picture; each f32 (height, width)."""

    cloud: Field
    """Share of what the sensor sees that is cloud, 0..1; 0 is clear."""
    shadow: Field
    """Share of the sun's light that is missing, 0..1; 0 is full sun."""


def draw_sky(
    rng: np.random.Generator,
    picture: NDArray[np.uint8],
    thin_ice_max: int = _THICK,
    depths: tuple[float, float] = (0.0, 1.0),
) -> NDArray[np.uint8]:
    """Return a picture, u8 (height, width, 3) R, G, B, under a random sky of cloud and shadow.

    Thick ice begins above `thin_ice_max`: cloud is about as bright, whatever the rendering. The deepest cloud
    or shadow takes a share of the light between `depths`. Black pixels, which hold no data, stay black; no
    other becomes black.
    """
    height, width, _ = picture.shape
    least, most = depths
    while True:
        veil = draw_veil(rng, height=height, width=width)
        if least <= max(veil.cloud.max(), veil.shadow.max()) < most:
            return under(rng, picture, veil, thin_ice_max)


def draw_veil(rng: np.random.Generator, *, height: int, width: int) -> Veil:
    """Draw cloud and the shadow of the same cloud, which lies some way off; one of them may be absent."""
    kind = rng.random()
    bearing, distance = rng.uniform(0.0, 2 * np.pi), _between(rng, _DISTANCE)
    down, right = (round(distance * part / _STEP) for part in (sin(bearing), cos(bearing)))
    rows, columns = (-(-side // _STEP) + 1 for side in (height, width))
    depth = _cloud(rng, rows + abs(down), columns + abs(right))
    cloud = depth[max(down, 0) :, max(right, 0) :][:rows, :columns]
    caster = depth[max(-down, 0) :, max(-right, 0) :][:rows, :columns]
    caster = np.asarray(cv2.GaussianBlur(caster, (0, 0), _between(rng, _PENUMBRA) / _STEP), np.float32)
    veil, darkest = rng.uniform(*_VEIL), rng.uniform(*_DARKEST)
    # Shadow saturates sooner than cloud: even a veil takes much of a low sun's light.
    shade = 1.0 - np.exp(-rng.uniform(1.0, 4.0) * caster)
    return Veil(
        _enlarged(veil * cloud * (kind > _SHARE_SHADOW_ONLY), height, width),
        _enlarged(darkest * shade * (kind < 1 - _SHARE_CLOUD_ONLY), height, width),
    )


def under(
    rng: np.random.Generator, picture: NDArray[np.uint8], veil: Veil, thin_ice_max: int = _THICK
) -> NDArray[np.uint8]:
    """Return a picture, u8 (height, width, 3), as seen through a veil, whose cloud has a random brightness.

    Light adds up linearly: shadow and cloud take their shares of the surface's light and the cloud adds its
    own. Both weaken the surface's noise, which would give them away, so sensor noise is put back.
    """
    tint = 1.0 + rng.uniform(-_CLOUD_TINT, _CLOUD_TINT, 3)
    light = rng.uniform(*_CLOUD_VALUE) * (thin_ice_max / _THICK) * tint / tint.max()
    spread = np.float32(rng.uniform(*_NOISE))
    noise = draw_noise(rng, veil.cloud.shape)
    # Noise is independent from pixel to pixel, so one draw turned three ways will do for all bands.
    noises = noise, np.asarray(cv2.flip(noise, 0)), np.asarray(cv2.flip(noise, 1))
    bands = split(picture)
    black = cv2.max(cv2.max(bands[0], bands[1]), bands[2]) == 0
    for band, own, turned in zip(bands, light.astype(np.float32), noises, strict=True):
        look_through(band, veil.cloud, veil.shadow, own, turned, spread)
    seen = np.asarray(cv2.merge(bands), np.uint8)
    if black.any():
        seen[black] = 0
    return seen


def brighten(picture: NDArray[np.uint8], gain: float) -> NDArray[np.uint8]:
    """Return a picture, u8, times a gain; black stays black, and no other pixel becomes black."""
    every = np.arange(256, dtype=np.uint8)
    levels = np.clip(np.rint(every * gain), 1, 255).astype(np.uint8)
    levels[0] = 0
    # OpenCV multiplies in half the time of a look-up, and hardly ever rounds another way.
    if np.array_equal(cv2.convertScaleAbs(every, alpha=gain).ravel(), levels):
        return np.asarray(cv2.convertScaleAbs(picture, alpha=gain), np.uint8)
    return np.asarray(cv2.LUT(np.ascontiguousarray(picture), levels), np.uint8)


def _cloud(rng: np.random.Generator, rows: int, columns: int) -> Field:
    """Return relative depth, f32 (rows, columns), 0 where clear and about 1 where deepest."""
    noise, cover = _lattice(rng, rows, columns), rng.uniform(*_COVER)
    if rng.random() < _SHARE_FILAMENTS:
        noise = 1.0 - np.abs(noise - next(_quantiles(noise, 0.5)))
        cover = max(cover, 0.6)  # thinner ones would have edges like floes
    low, high = _quantiles(noise, max(0.0, 1.0 - cover), 0.995)
    if cover > 1.0:
        low -= (cover - 1.0) * (high - low)
    above = np.clip((noise - low) / max(high - low, 1e-3), 0.0, 1.2)
    return np.asarray(above ** _between(rng, (0.6, 2.0)), np.float32)


def _lattice(rng: np.random.Generator, rows: int, columns: int) -> Field:
    """Return noise, f32 (rows, columns): random numbers on ever finer lattices, turned and stretched."""
    side = int(np.hypot(rows, columns)) + 2
    cell = _between(rng, _FEATURE) / _STEP
    rough, strength = rng.uniform(*_ROUGHNESS), 1.0
    total = np.zeros((side, side), np.float32)
    while cell >= _FINEST / _STEP:
        knots = min(side, int(side / cell) + 3)
        coarse = rng.random((knots, knots), dtype=np.float32) * np.float32(strength)
        # A lattice drawn larger than the field and cut somewhere, so that knots do not line up.
        span = max(side, round((knots - 1) * cell))
        add_enlarged(coarse, span, span, total)
        cell, strength = cell / 2, strength * rough
    return _turned(rng, total, rows, columns)


def _turned(rng: np.random.Generator, field: Field, rows: int, columns: int) -> Field:
    """Return a part of a square field, (rows, columns), turned and stretched at random."""
    angle, stretch = rng.uniform(0.0, np.pi), _between(rng, _STRETCH)
    down, across = (side / 2 for side in field.shape)
    matrix = (cos(angle) / stretch, sin(angle) / stretch), (-sin(angle), cos(angle))
    # The middle stays in the middle.
    warp = np.array(
        [
            [right, below, middle - right * columns / 2 - below * rows / 2]
            for (right, below), middle in zip(matrix, (across, down), strict=True)
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(field, warp, (columns, rows), flags=flags, borderMode=cv2.BORDER_REFLECT), np.float32
    )


def _enlarged(field: Field, height: int, width: int) -> Field:
    rows, columns = field.shape
    large = cv2.resize(field, (columns * _STEP, rows * _STEP), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(large[:height, :width], np.float32)


def _quantiles(field: Field, *shares: float) -> Iterator[float]:
    """Yield what each of these shares of a field is below, as every fourth row and column has it."""
    ordered = np.sort(field[::4, ::4], axis=None)
    places = np.array(shares) * (ordered.size - 1)
    return map(float, np.interp(places, np.arange(ordered.size), ordered))


def _between(rng: np.random.Generator, limits: tuple[float, float]) -> float:
    """Draw a number whose logarithm is evenly spread."""
    return exp(rng.uniform(log(limits[0]), log(limits[1])))
