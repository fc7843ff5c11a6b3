"""The simulated surface: which class each pixel is, and how bright the sun makes it."""

from __future__ import annotations

from math import cos, sin, sqrt
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from labeling.classes import IceClass
from labeling.simulation.floes import SHEAR_STEP, Breakage, Floes, break_up
from labeling.simulation.noise import Field, fractal

_SMALLEST_FLOE: Final = 6.0
_LARGEST_FLOE: Final = 1000.0
"""Sides in pixels; in smaller pictures large ones are smaller, or one would fill it."""

_RIM: Final = 7.0
"""Pixels from a thick floe over which thin ice gathers."""

_RELIEF: Final = 0.03
"""Relative brightness of a slope of one freeboard over about eight pixels (Sobel's unit)."""

_WATER_LEVEL: Final = (11.0, 23.0)
"""Brightness V of open water: the darkest scene's and the brightest's."""

_THIN_DARKEST: Final = 37.0
_THIN_BRIGHTEST: Final = 200.0
"""Brightness V of fresh nilas and of the oldest grey-white ice."""


class Amounts(NamedTuple):
    """Shares aimed at, 0..1 of all pixels."""

    thick: float
    thin: float


class Surface(NamedTuple):
    """A surface under a clear sky."""

    classes: NDArray[np.uint8]
    """Codes of IceClass, (height, width)."""
    value: Field
    """Brightness V as the sensor would see it, f32, about 8..270: above 255 the sensor saturates."""


class _Pack(NamedTuple):
    """The pieces of a scene."""

    thick: Floes
    sheets: Floes
    """Pieces of thin ice, which also show as old joints inside large thick floes."""


class _Sheets(NamedTuple):
    """Pieces of ice that may be thin: those that broke with the thick floes, and others between them."""

    ids: NDArray[np.int32]
    """(height, width), 0 up."""
    age: Field
    """Of each id, about -2..2: the higher, the sooner it froze."""
    inner: Field
    """Age differences within a piece, (height, width): what it was frozen together from."""


def make_surface(
    rng: np.random.Generator, *, height: int, width: int, amounts: Amounts, sun: float
) -> Surface:
    """Return a surface of floes, thin ice and open water.

    `sun` is the direction, radians from the x axis towards y, that light travels.
    """
    pack = _break_pack(rng, height, width, amounts)
    standing = _standing(rng, pack.thick, amounts.thick)
    thick = standing[pack.thick.ids]
    sheets = _sheets(rng, pack)
    rim = np.exp(cv2.distanceTransform((~thick).astype(np.uint8), cv2.DIST_L2, 3) / np.float32(-_RIM))
    classes, age = _freeze(rng, thick, sheets, rim, amounts)
    value = _thin_brightness(rng, age, rim, sheets.ids)
    value = np.where(classes == IceClass.WATER, _water_brightness(rng, height, width), value)
    value = np.where(thick, _thick_brightness(rng, pack), value)
    value *= 1.0 + _relief(rng, pack, classes, sun)
    return Surface(classes, value)


def _break_pack(rng: np.random.Generator, height: int, width: int, amounts: Amounts) -> _Pack:
    bearing = rng.uniform(0.0, np.pi)
    shear = fractal(
        rng, height=-(-height // SHEAR_STEP), width=-(-width // SHEAR_STEP),
        slope=2.0, longest=400 / SHEAR_STEP, stretch=2.5, angle=bearing,
    )  # fmt: skip
    largest = min(_LARGEST_FLOE, max(_SMALLEST_FLOE, 0.45 * sqrt(height * width)))
    opening = min(1.5, 2.2 * (1.0 - amounts.thick))
    thick = break_up(
        rng, height=height, width=width, shear=shear,
        breakage=Breakage(smallest=_SMALLEST_FLOE, largest=largest, opening=opening, bearing=bearing),
    )  # fmt: skip
    sheets = break_up(
        rng, height=height, width=width, shear=shear,
        breakage=Breakage(smallest=9.0, largest=0.5 * largest, opening=0.25, bearing=bearing + 0.6),
    )  # fmt: skip
    return _Pack(thick, sheets)


def _clustered(rng: np.random.Generator, floes: Floes, height: int, width: int) -> Field:
    """Return a random number per piece, f32, mean 0, std about 1, alike for neighbours."""
    field = fractal(rng, height=height, width=width, slope=2.0, longest=300, step=8)
    row = np.clip(floes.y, 0, height - 1).astype(np.intp)
    column = np.clip(floes.x, 0, width - 1).astype(np.intp)
    return np.asarray(0.75 * field[row, column] + 0.65 * rng.standard_normal(len(floes.x)), np.float32)


def _standing(rng: np.random.Generator, floes: Floes, share: float) -> NDArray[np.bool_]:
    """Return which pieces are thick ice, by id: as many as give about `share` of all pixels."""
    height, width = floes.ids.shape
    # Large floes are old and thick; rubble goes first, and whole patches of it.
    worth = _clustered(rng, floes, height, width) + 0.35 * np.log1p(floes.pixels)
    worth[0] = -np.inf
    order = np.argsort(-worth, kind="stable")
    total = np.cumsum(floes.pixels[order])
    standing = np.zeros(len(worth), np.bool_)
    standing[order] = total - floes.pixels[order] // 2 <= share * floes.ids.size
    standing[0] = False
    return standing


def _sheets(rng: np.random.Generator, pack: _Pack) -> _Sheets:
    height, width = pack.thick.ids.shape
    first = len(pack.thick.x)
    ids = np.where(pack.thick.ids > 0, pack.thick.ids, first + pack.sheets.ids)
    ages = [_clustered(rng, floes, height, width) for floes in (pack.thick, pack.sheets)]
    # The cracks between sheets froze last.
    ages[1][0] = -1.2
    inner = 0.3 * rng.standard_normal(len(pack.sheets.x), dtype=np.float32)
    return _Sheets(ids, np.concatenate(ages), inner[pack.sheets.ids])


def _freeze(
    rng: np.random.Generator, thick: NDArray[np.bool_], sheets: _Sheets, rim: Field, amounts: Amounts
) -> tuple[NDArray[np.uint8], Field]:
    """Return classes, u8 (height, width), and the age of the thin ice, f32 0..1 of the same shape.

    The pixels readiest to freeze do: whole sheets, rims of floes, and tongues of new ice between them.
    """
    height, width = thick.shape
    tongue = fractal(rng, height=height, width=width, slope=1.8, longest=80, step=2, stretch=2.0, angle=0.4)
    ready = sheets.age[sheets.ids] + 0.3 * tongue + 1.2 * rim
    ready[thick] = -np.inf
    wanted = round((amounts.thick + amounts.thin) * thick.size) - int(np.count_nonzero(thick))
    wanted = min(max(wanted, 0), int(np.count_nonzero(~thick)))
    frozen = _highest(ready, wanted)
    classes = np.where(thick, IceClass.THICK_ICE, np.where(frozen, IceClass.THIN_ICE, IceClass.WATER))
    age = 1.0 / (1.0 + np.exp(-1.4 * (sheets.age[sheets.ids] + sheets.inner + 0.1 * tongue - 0.4)))
    return classes.astype(np.uint8), age.astype(np.float32)


def _highest(field: Field, count: int) -> NDArray[np.bool_]:
    """Return where the `count` highest values are (more where values tie)."""
    if count == 0:
        return np.zeros(field.shape, np.bool_)
    return np.asarray(field >= np.partition(field, field.size - count, axis=None)[field.size - count])


def _water_brightness(rng: np.random.Generator, height: int, width: int) -> Field:
    swell = fractal(rng, height=height, width=width, slope=2.0, longest=400, step=8, stretch=2.0)
    return np.clip(rng.uniform(*_WATER_LEVEL) + 3.0 * swell, 6.0, 26.0)


def _thin_brightness(rng: np.random.Generator, age: Field, rim: Field, sheet: NDArray[np.int32]) -> Field:
    """Return V of thin ice by its age, with frost flowers, rafted edges and bright crushed rims."""
    height, width = age.shape
    grain = fractal(rng, height=height, width=width, slope=0.8, longest=10)
    patches = fractal(rng, height=height, width=width, slope=1.8, longest=60, step=2)
    # Nilas is smooth; sheets under frost flowers or crushed together are rough.
    rough = (0.03 + 0.16 * rng.random(int(sheet.max()) + 1) ** 2).astype(np.float32)[sheet]
    level = _THIN_DARKEST + (_THIN_BRIGHTEST - _THIN_DARKEST) * age**2.2
    level += 28.0 * rim * np.maximum(grain + 0.3 * patches, 0.0)
    level *= 1.0 + rough * grain + 0.05 * patches
    edge = cv2.GaussianBlur(_borders(sheet).astype(np.float32), (0, 0), 0.8)
    level *= 1.0 + 0.5 * edge * np.clip(patches, -0.6, 0.8)
    return np.clip(level, 27.0, 215.0)


def _thick_brightness(rng: np.random.Generator, pack: _Pack) -> Field:
    """Return V of snow-covered ice: each floe its own, drifts within, and old joints in some floes."""
    height, width = pack.thick.ids.shape
    count = len(pack.thick.x)
    floe = rng.uniform(239.0, 248.0) + 6.0 * np.clip(rng.standard_normal(count, dtype=np.float32), -2.2, 2)
    drift = fractal(rng, height=height, width=width, slope=1.8, longest=200, step=4, stretch=2.0, angle=0.7)
    piece = rng.standard_normal(len(pack.sheets.x), dtype=np.float32)
    # A floe made of frozen-together pieces shows them, in a greyer matrix.
    mixed = np.where(rng.random(count) < 0.3, rng.random(count), 0.0).astype(np.float32)[pack.thick.ids]
    matrix = np.where(pack.sheets.ids > 0, 4.0 * piece[pack.sheets.ids], -22.0)
    return np.asarray(floe[pack.thick.ids] + 4.0 * drift + mixed * matrix, np.float32)


def _relief(rng: np.random.Generator, pack: _Pack, classes: NDArray[np.uint8], sun: float) -> Field:
    """Return relative brightness of slopes, f32, 0 on the flat."""
    elevation = cv2.GaussianBlur(_elevation(rng, pack, classes, sun), (0, 0), 0.7)
    along_x = cv2.Sobel(elevation, cv2.CV_32F, 1, 0)
    along_y = cv2.Sobel(elevation, cv2.CV_32F, 0, 1)
    # Ground that rises along the light faces the sun.
    rise = np.float32(cos(sun)) * along_x + np.float32(sin(sun)) * along_y
    return np.clip(np.float32(_RELIEF) * rise, -0.35, 0.2)


def _elevation(rng: np.random.Generator, pack: _Pack, classes: NDArray[np.uint8], sun: float) -> Field:
    """Return height in freeboards of thick ice, f32: floe edges, sastrugi, hummocks and ridges."""
    height, width = classes.shape
    wind = sun + rng.normal(0.6, 0.4)
    sastrugi = fractal(rng, height=height, width=width, slope=1.5, longest=20, stretch=3.0, angle=wind)
    hummocks = np.abs(fractal(rng, height=height, width=width, slope=2.3, longest=24))
    pressed = fractal(rng, height=height, width=width, slope=1.5, longest=60, step=4) > 0.6
    rough = (0.05 + 1.3 * rng.random(len(pack.thick.x)) ** 2.5).astype(np.float32)
    snow = 1.0 + 0.1 * sastrugi + rough[pack.thick.ids] * hummocks
    snow += 0.7 * (pressed & _borders(pack.sheets.ids))
    thin = np.where(classes == IceClass.THIN_ICE, np.float32(0.25), np.float32(0))
    return np.where(classes == IceClass.THICK_ICE, snow, thin)


def _borders(ids: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Return which pixels differ from the one to the right or below."""
    border = np.zeros(ids.shape, np.bool_)
    border[:, :-1] |= ids[:, :-1] != ids[:, 1:]
    border[:-1, :] |= ids[:-1, :] != ids[1:, :]
    return border
