"""Random thin cloud and shadow drawn over pictures of clear scenes, to train a network on what it will meet.

The label stays that of the clear picture, so the network learns to look through the sky. None of this is
the sky that simulates test scenes (simulation/sky.py): the fields are built another way (lattice noise in
octaves, turned and stretched, instead of a filtered Gaussian spectrum), shapes and shadows are drawn from
wider ranges, and light, colour and noise of a cloud are drawn anew for each picture. A network that does
well under the simulated sky has therefore not been shown that sky.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import cos, exp, hypot, log, pi, sin
from typing import Final, NamedTuple

import cv2
import numpy as np

from labeling.chips.fields import STEP, Field, add_enlarged, look_up
from labeling.chips.loops import Levels, look_through, multiply
from labeling.chips.noise import draw_noise

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

_SATURATION: Final = (1.0, 4.0)
"""How soon a shadow is at its darkest; sooner than the cloud: even a veil takes much of a low sun's light."""

_DISTANCE: Final = (20.0, 500.0)
"""Pixels from a cloud to its shadow."""

_PENUMBRA: Final = (1.0, 12.0)
"""Pixels, standard deviation of a shadow's blur."""

_CLOUD_VALUE: Final = (195.0, 255.0)
"""Brightness V of the cloud itself where thick ice begins above `THICK`; in proportion elsewhere."""

THICK: Final = 204
"""Highest V of thin ice by the published cut points."""

_CLOUD_TINT: Final = 0.06
"""Largest relative difference of the cloud's colours from grey."""

_NOISE: Final = (0.3, 1.6)
"""Standard deviation, in levels, of the noise that the sensor adds whatever the light."""


_SHARE_SHADOW_ONLY: Final = 0.2
_SHARE_CLOUD_ONLY: Final = 0.2
"""Of all skies: the cloud or the shadow lies outside the picture."""

_SHARE_FILAMENTS: Final = 0.25
"""Of all skies: drawn-out fibres along the noise's middle contour instead of patches."""

_CONTRAST: Final = (0.6, 2.0)
"""Power of a cloud's depth, which is 1 where it is deep, and _DEEPEST at most before."""

_DEEPEST: Final = 1.2

_SHARES: Final = np.linspace(0, 1, 1025, dtype=np.float32)
"""Where powers are worked out; between them they are taken to be linear."""

_DRAWS: Final = 16
"""Numbers drawn at once for a veil; what is made of the first does not depend on how many are used."""


class Veil(NamedTuple):
    """What a sky does to a picture, every STEP pixels; each f32 (rows, columns), linear in between."""

    cloud: Field
    """Share of what the sensor sees that is cloud, 0..1; 0 is clear."""
    shadow: Field
    """Share of the sun's light that is missing, 0..1; 0 is full sun."""


def draw_sky(
    rng: np.random.Generator,
    bands: Levels,
    thin_ice_max: int = THICK,
    depths: tuple[float, float] = (0.0, 1.0),
) -> None:
    """Change a picture's bands, u8 (3, height, width), into what they are under a random cloud and shadow.

    Thick ice begins above `thin_ice_max`: cloud is about as bright, whatever the rendering. The deepest cloud
    or shadow takes a share of the light between `depths`. Black pixels, which hold no data, stay black; no
    other becomes black.
    """
    _, height, width = bands.shape
    least, most = depths
    while True:
        veil = draw_veil(rng, height=height, width=width)
        if least <= max(veil.cloud.max(), veil.shadow.max()) < most:
            return under(rng, bands, veil, thin_ice_max)


def draw_veil(rng: np.random.Generator, *, height: int, width: int) -> Veil:
    """Draw cloud and the shadow of the same cloud, which lies some way off; one of them may be absent."""
    draws = iter(rng.random(_DRAWS).tolist())
    kind = next(draws)
    bearing, distance = _even(draws, (0.0, 2 * pi)), _between(draws, _DISTANCE)
    down, right = (round(distance * part / STEP) for part in (sin(bearing), cos(bearing)))
    rows, columns = (-(-side // STEP) + 1 for side in (height, width))
    depth = _cloud(rng, draws, rows + abs(down), columns + abs(right))
    cloud = depth[max(down, 0) :, max(right, 0) :][:rows, :columns]
    caster = depth[max(-down, 0) :, max(-right, 0) :][:rows, :columns]
    veil, darkest, soon = (_even(draws, limits) for limits in (_VEIL, _DARKEST, _SATURATION))
    softness = _between(draws, _PENUMBRA) / STEP
    shadow = np.zeros((rows, columns), np.float32)
    if kind < 1 - _SHARE_CLOUD_ONLY:
        cv2.GaussianBlur(caster, (0, 0), softness, shadow)
        deepest = _DEEPEST ** _CONTRAST[1]
        shades = darkest * (1 - np.exp(-soon * deepest * _SHARES))
        look_up(shadow, 0.0, deepest, shades)
    return Veil(cloud * np.float32(veil if kind > _SHARE_SHADOW_ONLY else 0.0), shadow)


def under(rng: np.random.Generator, bands: Levels, veil: Veil, thin_ice_max: int = THICK) -> None:
    """Change bands, u8 (3, height, width), into what is seen through a veil; its cloud's light is random.

    Light adds up linearly: shadow and cloud take their shares of the surface's light and the cloud adds its
    own. Both weaken the surface's noise, which would give them away, so sensor noise is put back.
    """
    draws = iter(rng.random(5).tolist())
    tint = [_even(draws, (1 - _CLOUD_TINT, 1 + _CLOUD_TINT)) for _ in range(3)]
    brightest = _even(draws, _CLOUD_VALUE) * (thin_ice_max / THICK) / max(tint)
    lights = np.array([brightest * share for share in tint], np.float32)
    noise = draw_noise(rng, bands.shape[1:])
    look_through(bands, *veil, lights, noise, np.float32(_even(draws, _NOISE)))


def brighten(bands: Levels, gain: float) -> None:
    """Multiply bands, u8 (3, height, width), by a gain; black stays black, and no other becomes black."""
    multiply(bands.reshape(-1), gain)


def _cloud(rng: np.random.Generator, draws: Iterator[float], rows: int, columns: int) -> Field:
    """Return relative depth, f32 (rows, columns), 0 where clear and about 1 where deepest."""
    noise, cover = _lattice(rng, draws, rows, columns), _even(draws, _COVER)
    if next(draws) < _SHARE_FILAMENTS:
        noise = np.asarray(1.0 - np.abs(noise - next(_quantiles(noise, 0.5))), np.float32)
        cover = max(cover, 0.6)  # thinner ones would have edges like floes
    low, high = _quantiles(noise, max(0.0, 1.0 - cover), 0.995)
    if cover > 1.0:
        low -= (cover - 1.0) * (high - low)
    high = low + max(high - low, 1e-3)
    depths = (_DEEPEST * _SHARES) ** np.float32(_between(draws, _CONTRAST))
    look_up(noise, low, low + _DEEPEST * (high - low), depths)
    return noise


def _lattice(rng: np.random.Generator, draws: Iterator[float], rows: int, columns: int) -> Field:
    """Return noise, f32 (rows, columns): random numbers on ever finer lattices, turned and stretched."""
    side = int(hypot(rows, columns)) + 2
    cell, rough = _between(draws, _FEATURE) / STEP, _even(draws, _ROUGHNESS)
    counts, spans = [], []
    while cell >= _FINEST / STEP:
        count = min(side, int(side / cell) + 3)
        counts.append((count, count))
        # A lattice drawn larger than the field and cut somewhere, so that knots do not line up.
        spans.append((max(side, round((count - 1) * cell)),) * 2)
        cell /= 2
    total = np.zeros((side, side), np.float32)
    knots = rng.random(sum(across * down for across, down in counts), dtype=np.float32)
    strengths = np.array([rough**octave for octave in range(len(counts))], np.float32)
    add_enlarged(knots, np.array(counts), np.array(spans), strengths, total)
    return _turned(draws, total, rows, columns)


def _turned(draws: Iterator[float], field: Field, rows: int, columns: int) -> Field:
    """Return a part of a square field, (rows, columns), turned and stretched at random."""
    angle, stretch = _even(draws, (0.0, pi)), _between(draws, _STRETCH)
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


def _quantiles(field: Field, *shares: float) -> Iterator[float]:
    """Yield what each of these shares of a field is below, as every fourth row and column has it."""
    ordered = np.sort(field[::4, ::4], axis=None)
    return (float(ordered[round(share * (ordered.size - 1))]) for share in shares)


def _even(draws: Iterator[float], limits: tuple[float, float]) -> float:
    """Make the next number, which is evenly spread over 0..1, one between limits."""
    low, high = limits
    return low + (high - low) * next(draws)


def _between(draws: Iterator[float], limits: tuple[float, float]) -> float:
    """Make the next number one between limits whose logarithm is evenly spread."""
    low, high = limits
    return low * exp(log(high / low) * next(draws))
