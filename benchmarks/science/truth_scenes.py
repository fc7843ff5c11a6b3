"""Test scenes with known truth for beat_the_rule.py: three families of ice under three skies.

floes     the project's simulator, acquisitions that no training scene shares
pancakes  round floes, brash and curved leads, drawn another way than the simulator's breaking plates
maps      floes of published label maps of the Ross Sea, where a folder with them is given

Ice of the last two gets brightness and texture here, the sky over all three is the simulator's. Every family
has scenes rich in thin ice and scenes of mostly thick ice, and each surface comes under each sky.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import cos, pi, sin
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from labeling.classes import IceClass
from labeling.simulation import sky as simulate_sky
from labeling.simulation.sky import Sky, expose, make_sky
from labeling.simulation.surface import Amounts, Surface, make_surface

SKIES: Final = {"clear": 0.0, "thin": 0.3, "heavier": 0.7}
"""Amount of cloud of each sky, as the simulator takes it."""

_AMOUNTS: Final = (Amounts(0.84, 0.09), Amounts(0.40, 0.40), Amounts(0.68, 0.22), Amounts(0.30, 0.35))
MAP_FILES: Final = ("autolabel_filtered_s2_vis_00.png", "autolabel_filtered_s2_vis_01.png", "s2_seg_02.png")

Field = NDArray[np.float32]


class TruthScene(NamedTuple):
    """One test scene."""

    family: str
    sky: str
    """A key of SKIES."""
    rgb: NDArray[np.uint8]
    """(3, height, width) R, G, B."""
    clear: NDArray[np.uint8]
    """The same surface and sensor noise without the sky, like `rgb`."""
    truth: NDArray[np.uint8]
    """Class codes (height, width)."""
    disturbed: Field
    """Share of the surface's light that cloud and shadow keep from the sensor, 0..1 (height, width)."""


def truth_scenes(*, side: int, surfaces: int, seed: int, maps: Path | None) -> Iterator[TruthScene]:
    """Yield `surfaces` surfaces of each family (as many as there are maps of the last) under each sky."""
    yield from _under_skies("floes", (_simulated(seed, i, side) for i in range(surfaces)), seed)
    yield from _under_skies("pancakes", (_pancake_surface(seed, i, side) for i in range(surfaces)), seed)
    if maps is not None:
        yield from _under_skies("maps", _mapped(maps, seed, side), seed)


def disturbance(sky: Sky) -> Field:
    """Return the share of the surface's light that does not reach the sensor, f32 0..1."""
    passed = np.exp(-simulate_sky.BACKSCATTER * sky.cloud) * (1.0 - simulate_sky.DARKEST_SHADOW * sky.shadow)
    return np.asarray(1.0 - passed, np.float32)


def _under_skies(family: str, surfaces: Iterator[Surface], seed: int) -> Iterator[TruthScene]:
    for number, surface in enumerate(surfaces):
        height, width = surface.classes.shape
        stream = [seed, number, len(family)]
        sun = float(np.random.default_rng(stream).uniform(0, 2 * pi))
        # One stream for the sensor, so that the clear picture differs by the sky alone.
        pictures = {}
        for name, amount in SKIES.items():
            rng = np.random.default_rng([*stream, 1])
            sky = make_sky(rng, height=height, width=width, amount=amount, sun=sun)
            pictures[name] = expose(np.random.default_rng([*stream, 2]), surface.value, sky), disturbance(sky)
        for name, (rgb, disturbed) in pictures.items():
            yield TruthScene(family, name, rgb, pictures["clear"][0], surface.classes, disturbed)


def _simulated(seed: int, number: int, side: int) -> Surface:
    rng = np.random.default_rng([seed, number, 3])
    amounts = _AMOUNTS[number % len(_AMOUNTS)]
    return make_surface(rng, height=side, width=side, amounts=amounts, sun=float(rng.uniform(0, 2 * pi)))


def _mapped(folder: Path, seed: int, side: int) -> Iterator[Surface]:
    for number, name in enumerate(MAP_FILES):
        picture = cv2.imread(str(folder / name), cv2.IMREAD_COLOR)
        if picture is None:
            raise SystemExit(f"no label map {folder / name}; leave --maps out")
        rng = np.random.default_rng([seed, number, 4])
        yield rendered(rng, _richest(map_classes(picture), side))


def _richest(classes: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return the corner, at most side x side, with the most thin ice: most of a map is thick ice."""
    corners = [classes[rows, columns] for rows in _ends(side) for columns in _ends(side)]
    return max(corners, key=lambda corner: float((corner == IceClass.THIN_ICE).mean()))


def _ends(side: int) -> tuple[slice, slice]:
    return slice(None, side), slice(-side, None)


def map_classes(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the class codes of a published map, grey levels or red, blue and green."""
    blue, green, red = (picture[..., band].astype(np.int16) for band in range(3))
    if (blue == red).mean() > 0.99:
        levels = np.digitize(green, (78, 205))
        return np.asarray(cv2.medianBlur(levels.astype(np.uint8), 3), np.uint8)
    order = np.argmax(np.stack([green, blue, red]), axis=0)  # as the class codes are
    return np.asarray(cv2.medianBlur(order.astype(np.uint8), 3), np.uint8)


def _pancake_surface(seed: int, number: int, side: int) -> Surface:
    rng = np.random.default_rng([seed, number, 5])
    return rendered(rng, pancakes(rng, side, _AMOUNTS[number % len(_AMOUNTS)]))


def pancakes(rng: np.random.Generator, side: int, amounts: Amounts) -> NDArray[np.uint8]:
    """Return class codes (side, side): round floes over a ground of water, thin ice in its calmer parts."""
    calm = _smooth(rng, side, 60) + 0.3 * _smooth(rng, side, 12)
    open_share = 1.0 - amounts.thick - amounts.thin
    classes = np.where(calm < np.quantile(calm, open_share * 1.3), IceClass.WATER, IceClass.THIN_ICE).astype(
        np.uint8
    )
    thin_floe = 0.5 * amounts.thin / (amounts.thick + amounts.thin)
    while (classes == IceClass.THICK_ICE).mean() < amounts.thick:
        radius = 4.0 * side**0.08 * float(rng.pareto(1.1) + 1.0)
        outline = _round(rng, min(radius, side / 5)) + rng.uniform(0, side, 2)
        kind = IceClass.THIN_ICE if rng.random() < thin_floe else IceClass.THICK_ICE
        cv2.fillPoly(classes, [outline.round().astype(np.int32)], int(kind))
    for _ in range(int(rng.integers(1, 4))):
        _lead(rng, classes)
    return classes


def _round(rng: np.random.Generator, radius: float) -> NDArray[np.float64]:
    """Return a wobbling closed outline around 0, (points, 2)."""
    angles = np.linspace(0, 2 * pi, 48, endpoint=False)
    wobble = sum(rng.normal(0, 0.12 / k) * np.cos(k * angles + rng.uniform(0, 2 * pi)) for k in range(1, 7))
    reach = radius * (1.0 + wobble)
    return np.stack([reach * np.cos(angles) * rng.uniform(0.7, 1.4), reach * np.sin(angles)], axis=-1)


def _lead(rng: np.random.Generator, classes: NDArray[np.uint8]) -> None:
    """Draw a crack of open water or thin ice that wanders across the picture, in place."""
    side = len(classes)
    along = np.linspace(-0.2, 1.2, 60) * side
    across = rng.uniform(0.1, 0.9) * side + 0.05 * side * np.cumsum(rng.normal(0, 0.4, 60))
    angle = rng.uniform(0, pi)
    turn = np.array([[cos(angle), sin(angle)], [-sin(angle), cos(angle)]])
    points = (np.stack([along, across], axis=-1) - side / 2) @ turn + side / 2
    kind = IceClass.WATER if rng.random() < 0.6 else IceClass.THIN_ICE
    cv2.polylines(classes, [points.round().astype(np.int32)], False, int(kind), int(rng.integers(2, 14)))


def rendered(rng: np.random.Generator, classes: NDArray[np.uint8]) -> Surface:
    """Return a surface with these classes: every connected piece has its own brightness and texture."""
    side = len(classes)
    value = np.zeros(classes.shape, np.float32)
    grain, drift = _smooth(rng, side, 1.2), _smooth(rng, side, 25)
    for kind in IceClass:
        count, pieces = cv2.connectedComponents((classes == kind).astype(np.uint8), connectivity=4)
        if kind == IceClass.WATER:
            level = np.full(count, rng.uniform(11, 21))
            rough, slope = np.full(count, 0.4), np.full(count, 1.5)
        elif kind == IceClass.THIN_ICE:
            level = 38.0 + 155.0 * rng.beta(1.1, 1.6, count)
            rough, slope = level * rng.uniform(0.01, 0.08, count), level * rng.uniform(0.0, 0.08, count)
        else:
            level = rng.normal(240.0, 6.0, count).clip(222, 252)
            rough, slope = rng.uniform(0.5, 5.0, count), rng.uniform(0.5, 5.0, count)
        here = classes == kind
        own = [np.asarray(part, np.float32)[pieces][here] for part in (level, rough, slope)]
        value[here] = own[0] + own[1] * grain[here] + own[2] * drift[here]
    limits = {IceClass.WATER: (5, 27), IceClass.THIN_ICE: (33, 203), IceClass.THICK_ICE: (207, 270)}
    low, high = (np.array([limits[kind][end] for kind in IceClass], np.float32)[classes] for end in (0, 1))
    return Surface(classes, np.clip(value, low, high))


def _smooth(rng: np.random.Generator, side: int, scale: float) -> Field:
    """Return blurred noise, f32 (side, side), mean 0 and standard deviation 1; features of `scale` pixels."""
    step = max(1, int(scale / 4))
    cells = -(-side // step) + 8
    coarse = cv2.GaussianBlur(rng.standard_normal((cells, cells), dtype=np.float32), (0, 0), scale / step)
    fine = cv2.resize(coarse, (cells * step, cells * step), interpolation=cv2.INTER_LINEAR)[:side, :side]
    return np.asarray((fine - fine.mean()) / fine.std(), np.float32)
