"""Families of ice and sky with known truth that share as little code as they can.

floes     the project's simulator
plates    bent Voronoi pieces, each of an even or textured tone (plates.py)
pancakes  round floes, brash and leads; every piece has its own tone and texture (truth_scenes.py)
maps      floes of published label maps of the Ross Sea in such tones, where a folder with them is given
smooth    thin ice whose tone wanders smoothly from water's to snow's, with edges from sharp to gradual
quilted   patches of a real picture of the Ross Sea, sewn together by class, where that folder is given

A surface comes clear, under thin and under heavier cloud and shadow: the simulator's sky or the one that
training chips get (labeling/chips/skies.py), by turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import pi
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.science.plates import make_plates
from benchmarks.science.truth_scenes import MAP_FILES, map_classes, pancakes, rendered
from labeling.chips.skies import draw_sky
from labeling.classes import IceClass
from labeling.simulation.noise import Field, fractal
from labeling.simulation.sky import Sky, expose, make_sky
from labeling.simulation.surface import Amounts, make_surface

SKIES: Final = ("clear", "thin", "heavier")
_DEEP: Final = 0.3
"""Share of the light that a veil or shadow of a thin sky takes at most."""

_KINDS: Final = (
    ((0.93, 0.995), (0.005, 0.06)), ((0.6, 0.97), (0.03, 0.25)), ((0.55, 0.95), (0.25, 0.75)),
)  # fmt: skip
"""Least and most cover of ice, and share of it that is thin."""

_REAL: Final = "sceneA_rgb.png"
_PATCH: Final = {
    IceClass.WATER: (24, 3, 28),
    IceClass.THIN_ICE: (48, 34, 200),
    IceClass.THICK_ICE: (48, 206, 255),
}
"""Side of a patch of each class, and the least and most V of nearly all of its pixels."""


class FamilyScene(NamedTuple):
    """One scene."""

    family: str
    sky: str
    rgb: NDArray[np.uint8]
    """(3, side, side)."""
    truth: NDArray[np.uint8]
    """Class codes (side, side)."""


class Drawn(NamedTuple):
    """A scene under a clear sky."""

    rgb: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    value: Field | None = None
    """Brightness V of the surface; None for what only a picture shows."""


def family_surfaces(
    *, side: int, surfaces: int, seed: int, maps: Path | None
) -> Iterator[tuple[str, int, np.random.Generator, Drawn]]:
    """Yield `surfaces` surfaces of each family, with the family, a number and a stream for their skies."""
    makers: dict[str, Callable[[np.random.Generator, int], Drawn]] = {
        "floes": _floes, "plates": _plates, "pancakes": _pancakes, "smooth": _smooth,
    }  # fmt: skip
    if maps is not None:
        sheets = [_read_map(maps / name) for name in MAP_FILES]
        quilts = Quilts(maps / _REAL)
        makers |= {
            "maps": lambda rng, size: _mapped(rng, size, sheets),
            "quilted": lambda rng, size: quilts.sew(rng, geometry(rng, size)),
        }
    for place, (family, make) in enumerate(makers.items()):
        for number in range(surfaces):
            rng = np.random.default_rng([seed, place, number])
            yield family, number, rng, make(rng, side)


def family_scenes(
    *, side: int, surfaces: int, seed: int, maps: Path | None, skies: tuple[str, ...] = SKIES[1:]
) -> Iterator[FamilyScene]:
    """Yield `surfaces` surfaces of each family, clear and under each of `skies`."""
    for family, number, rng, drawn in family_surfaces(side=side, surfaces=surfaces, seed=seed, maps=maps):
        yield FamilyScene(family, "clear", drawn.rgb, drawn.truth)
        for sky in skies:
            simulated = drawn.value is not None and number % 2
            seen = _simulated_sky(rng, drawn.value, sky) if simulated else _drawn_sky(rng, drawn.rgb, sky)
            yield FamilyScene(family, sky, seen, drawn.truth)


def geometry(rng: np.random.Generator, side: int) -> NDArray[np.uint8]:
    """Return class codes (side, side) of some family's geometry."""
    kind = int(rng.integers(3))
    if kind == 0:
        return make_surface(rng, height=side, width=side, amounts=_amounts(rng), sun=1.0).classes
    return pancakes(rng, side, _amounts(rng)) if kind == 1 else make_plates(rng, side).classes


def _amounts(rng: np.random.Generator) -> Amounts:
    """Return mostly thick ice, some of each, or mostly thin ice, by turns of the dice."""
    covered, share = (float(rng.uniform(*limits)) for limits in _KINDS[int(rng.integers(len(_KINDS)))])
    return Amounts(covered * (1 - share), covered * share)


def _exposed(rng: np.random.Generator, value: Field, classes: NDArray[np.uint8]) -> Drawn:
    none = np.zeros_like(value)
    return Drawn(expose(rng, value, Sky(none, none)), classes, value)


def _floes(rng: np.random.Generator, side: int) -> Drawn:
    sun = float(rng.uniform(0, 2 * pi))
    surface = make_surface(rng, height=side, width=side, amounts=_amounts(rng), sun=sun)
    return _exposed(rng, surface.value, surface.classes)


def _plates(rng: np.random.Generator, side: int) -> Drawn:
    surface = make_plates(rng, side)
    return _exposed(rng, surface.value, surface.classes)


def _pancakes(rng: np.random.Generator, side: int) -> Drawn:
    surface = rendered(rng, pancakes(rng, side, _amounts(rng)))
    return _exposed(rng, surface.value, surface.classes)


def _mapped(rng: np.random.Generator, side: int, sheets: list[NDArray[np.uint8]]) -> Drawn:
    sheet = sheets[int(rng.integers(len(sheets)))]
    row, column = (int(rng.integers(length - side + 1)) for length in sheet.shape)
    surface = rendered(rng, np.ascontiguousarray(sheet[row : row + side, column : column + side]))
    return _exposed(rng, surface.value, surface.classes)


def _smooth(rng: np.random.Generator, side: int) -> Drawn:
    classes = geometry(rng, side)

    def field(slope: float, longest: float) -> Field:
        return fractal(rng, height=side, width=side, slope=slope, longest=longest, step=4)

    thin = rng.uniform(80, 150) + rng.uniform(15, 50) * field(rng.uniform(1.5, 2.5), rng.uniform(60, 500))
    thick = rng.uniform(225, 242) + rng.uniform(2, 7) * field(2.0, 300) + rng.uniform(1, 5) * field(1.0, 20)
    value = np.select(
        [classes == IceClass.THICK_ICE, classes == IceClass.THIN_ICE],
        [np.clip(thick, 206, 262), np.clip(thin, rng.uniform(33, 60), rng.uniform(170, 203))],
        np.clip(rng.uniform(10, 20) + 3 * field(2.0, 300), 4, 28),
    ).astype(np.float32)
    soft = np.asarray(cv2.GaussianBlur(value, (0, 0), rng.uniform(0.3, 1.6)), np.float32)
    return _exposed(rng, soft, classes)


class Quilts:
    """Patches of a real picture: of each class those whose brightness leaves no doubt of it."""

    def __init__(self, file: Path) -> None:
        picture = cv2.imread(str(file), cv2.IMREAD_COLOR)
        if picture is None:
            raise SystemExit(f"no picture {file}; leave --maps out")
        self._picture = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        self._places = {code: self._find(*limits) for code, limits in _PATCH.items()}

    def _find(self, side: int, least: int, most: int) -> NDArray[np.intp]:
        value = self._picture.max(axis=2)
        inside = ((value >= least) & (value <= most)).astype(np.float32)
        share = cv2.boxFilter(inside, -1, (side, side), anchor=(0, 0))
        return np.argwhere(share[:-side, :-side] > 0.97)

    def sew(self, rng: np.random.Generator, classes: NDArray[np.uint8]) -> Drawn:
        """Return a picture with these classes, and them."""
        picture = np.zeros((*classes.shape, 3), np.float32)
        for code, (side, least, most) in _PATCH.items():
            layer = self._layer(rng, len(classes), side, self._places[code])
            value = layer.max(axis=2, keepdims=True)
            layer *= np.clip(value, least, most) / np.maximum(value, 1)
            picture[classes == code] = layer[classes == code]
        picture = cv2.GaussianBlur(picture, (0, 0), 0.5) + rng.standard_normal(picture.shape) * 0.8
        seen = np.clip(np.rint(picture), 1, 255).astype(np.uint8)
        return Drawn(np.ascontiguousarray(seen.transpose(2, 0, 1)), classes)

    def _layer(self, rng: np.random.Generator, size: int, side: int, places: NDArray[np.intp]) -> Field:
        window = np.outer(np.hanning(side + 2)[1:-1], np.hanning(side + 2)[1:-1])[..., None] + 1e-3
        total, weight = np.zeros((size + side, size + side, 3)), np.zeros((size + side, size + side, 1))
        for row in range(0, size, side // 2):
            for column in range(0, size, side // 2):
                y, x = places[rng.integers(len(places))]
                part = np.s_[row : row + side, column : column + side]
                total[part] += self._picture[y : y + side, x : x + side] * window
                weight[part] += window
        return np.asarray((total[:size, :size] / weight[:size, :size]), np.float32)


def _read_map(file: Path) -> NDArray[np.uint8]:
    picture = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if picture is None:
        raise SystemExit(f"no label map {file}; leave --maps out")
    return map_classes(picture)


def simulated_sky(rng: np.random.Generator, shape: tuple[int, int], sky: str) -> Sky:
    """Return the simulator's cloud and shadow for a sky of SKIES."""
    height, width = shape
    amounts = {"clear": (0.0, 0.0), "thin": (0.2, 0.4), "heavier": (0.5, 0.9)}
    amount, sun = float(rng.uniform(*amounts[sky])), float(rng.uniform(0, 2 * pi))
    return make_sky(rng, height=height, width=width, amount=amount, sun=sun)


def _simulated_sky(rng: np.random.Generator, value: Field, sky: str) -> NDArray[np.uint8]:
    return expose(rng, value, simulated_sky(rng, (len(value), len(value)), sky))


def _drawn_sky(rng: np.random.Generator, clear: NDArray[np.uint8], sky: str) -> NDArray[np.uint8]:
    depths = (0, _DEEP) if sky == "thin" else (_DEEP, 1)
    seen = np.array(clear, order="C")
    draw_sky(rng, seen, depths=depths)
    return seen
