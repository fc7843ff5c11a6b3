"""Outlines of simulated ice floes: plates that break again and again, each break leaving a lead.

Pieces stop breaking at random at every size, which gives the power law of floe sizes that pictures show, and
neighbours keep matching edges. Where the pack is sheared they break on into rubble.
"""

from __future__ import annotations

from cmath import exp, phase
from math import pi, sqrt
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from labeling.simulation.noise import Field, fractal, sample

Polygon = list[complex]
"""Corners of a convex piece, x + iy in pixels, in order."""

MARGIN: Final = 48
"""Pixels around the picture in which floes are drawn too, so that none ends at the picture's edge."""

SHEAR_STEP: Final = 8
"""Pixels between the points of the field that says where the pack is sheared."""

_GRID: Final = 4
"""Pixels between the points of the fields that bend outlines."""

_SPACING: Final = 2.5
"""Pixels between the points of an outline."""

_NARROWEST: Final = 1.4
"""Pixels; cracks below this width are closed."""

_SUBPIXEL_BITS: Final = 4
"""Fixed-point digits of outline coordinates given to OpenCV."""


class Breakage(NamedTuple):
    """How a plate breaks."""

    smallest: float
    """Side in pixels (root of the area) below which pieces do not break."""
    largest: float
    """Side in pixels above which every piece breaks."""
    opening: float
    """Width of the leads, 1 for a loose pack, 0 for none."""
    bearing: float
    """Direction, radians, along which long leads prefer to run."""


class Floes(NamedTuple):
    """Rasterised pieces."""

    ids: NDArray[np.int32]
    """(height, width): 0 between the pieces, else 1 + index of the piece."""
    pixels: NDArray[np.int64]
    """Pixels of id 0, 1, 2 …"""
    x: Field
    """Centre of each piece, pixels; index 0 (between the pieces) holds 0."""
    y: Field


def break_up(rng: np.random.Generator, *, height: int, width: int, breakage: Breakage, shear: Field) -> Floes:
    """Break a plate that covers (height, width) and rasterise the pieces.

    `shear` is f32, about -2..2, on every `SHEAR_STEP`-th pixel: the higher, the finer the rubble.
    """
    pieces = _pieces(rng, height, width, breakage, shear)
    outlines = _bend(rng, height, width, [_round(rng, piece) for piece in pieces])
    ids = np.zeros((height, width), np.int32)
    for number, outline in enumerate(outlines, start=1):
        cv2.fillPoly(ids, [outline], number, lineType=cv2.LINE_8, shift=_SUBPIXEL_BITS)
    centres = np.array([0j, *(sum(piece) / len(piece) for piece in pieces)])
    pixels = np.bincount(ids.ravel(), minlength=len(centres))
    return Floes(ids, pixels, centres.real.astype(np.float32), centres.imag.astype(np.float32))


def _pieces(
    rng: np.random.Generator, height: int, width: int, breakage: Breakage, shear: Field
) -> list[Polygon]:
    """Break the plate down to floes; pieces outside the picture and its margin are dropped on the way."""
    half = 0.75 * (max(height, width) + 2 * MARGIN)
    turn = exp(1j * breakage.bearing)
    centre = complex(width / 2, height / 2)
    waiting: list[Polygon] = [[centre + half * turn * c for c in (-1 - 1j, 1 - 1j, 1 + 1j, -1 + 1j)]]
    done: list[Polygon] = []
    while waiting:
        piece = waiting.pop()
        if not _near(piece, height, width):
            continue
        side = sqrt(_area(piece))
        stress = _stress(shear, sum(piece) / len(piece))
        if _stops(rng, side, stress, breakage):
            done.append(piece)
        else:
            waiting.extend(_split(rng, piece, side, stress, breakage))
    return done


def _near(piece: Polygon, height: int, width: int) -> bool:
    x = [corner.real for corner in piece]
    y = [corner.imag for corner in piece]
    return (
        len(piece) > 2
        and max(x) > -MARGIN
        and min(x) < width + MARGIN
        and max(y) > -MARGIN
        and min(y) < height + MARGIN
    )


def _area(piece: Polygon) -> float:
    return 0.5 * abs(sum((a.conjugate() * b).imag for a, b in zip(piece, piece[1:] + piece[:1], strict=True)))


def _stress(shear: Field, at: complex) -> float:
    rows, columns = shear.shape
    row = min(max(int(at.imag) // SHEAR_STEP, 0), rows - 1)
    column = min(max(int(at.real) // SHEAR_STEP, 0), columns - 1)
    return float(shear[row, column])


def _stops(rng: np.random.Generator, side: float, stress: float, breakage: Breakage) -> bool:
    """Decide whether a piece stays whole: with one chance at every size, so that sizes follow a power law."""
    if side > breakage.largest:
        return False
    coarse = min(max(0.5 - 0.45 * stress, 0.0), 1.0)
    if side < breakage.smallest * (1.0 + 2.5 * coarse * rng.random()):
        return True
    return rng.random() < 0.07 + 0.33 * coarse * coarse


def _split(
    rng: np.random.Generator, piece: Polygon, side: float, stress: float, breakage: Breakage
) -> list[Polygon]:
    """Break a piece in two across its longer axis, leaving a wedge-shaped lead between the halves."""
    centre = sum(piece) / len(piece)
    moment = sum((corner - centre) ** 2 for corner in piece)
    slender = abs(moment) / sum(abs(corner - centre) ** 2 for corner in piece)
    # Long pieces break across, small ones always do; compact plates along the bearing of the pack.
    slender_enough = 0.35 if side > 40 else 0.08
    axis = phase(moment) / 2 if slender > slender_enough else breakage.bearing + pi / 2
    normal = exp(1j * (axis + rng.normal(0.0, 0.4)))
    through = centre + normal * side * rng.uniform(-0.22, 0.22)
    loose = min(max(1.0 + 0.5 * stress, 0.25), 2.5)
    gap = breakage.opening * loose * 0.09 * side**0.75 * exp(rng.normal(-0.4, 0.9)).real
    # A crack too narrow to see is a healed one; its sides must meet without a row of holes.
    gap = min(gap, 0.35 * side) if gap > _NARROWEST else 0.0
    tilt = exp(1j * rng.normal(0.0, 0.6) * gap / side)
    return [
        _cut(piece, through + normal * gap / 2, normal * tilt),
        _cut(piece, through - normal * gap / 2, -normal / tilt),
    ]


def _cut(piece: Polygon, through: complex, normal: complex) -> Polygon:
    """Return the part of a convex piece on the side of a line that `normal` points to; may be empty."""
    heights = [((corner - through) * normal.conjugate()).real for corner in piece]
    kept: Polygon = []
    for here, there, above, beyond in zip(
        piece, piece[1:] + piece[:1], heights, heights[1:] + heights[:1], strict=True
    ):
        if above >= 0:
            kept.append(here)
        if (above >= 0) != (beyond >= 0):
            kept.append(here + (there - here) * (above / (above - beyond)))
    return kept


def _round(rng: np.random.Generator, piece: Polygon) -> Polygon:
    """Cut the corners of a piece, all by one amount: old and small floes are worn, fresh ones angular."""
    wear = min(0.02 + 0.25 * rng.random() ** 2 + 2.0 / sqrt(_area(piece) + 1.0), 0.3)
    rounded: Polygon = []
    for before, corner, after in zip(piece[-1:] + piece[:-1], piece, piece[1:] + piece[:1], strict=True):
        rounded.append(corner + wear * (before - corner))
        rounded.append(corner + 0.35 * wear * (before + after - 2 * corner))
        rounded.append(corner + wear * (after - corner))
    return rounded


def _bend(
    rng: np.random.Generator, height: int, width: int, pieces: list[Polygon]
) -> list[NDArray[np.int32]]:
    """Return outlines in OpenCV's fixed point, (points, 1, 2) x and y, bent and roughened by random fields.

    The fields belong to places, not to pieces, so that neighbours bend alike and do not overlap.
    """
    if not pieces:
        return []
    points, counts = _densify(pieces)
    x, y = points.real.astype(np.float32), points.imag.astype(np.float32)
    rows, columns = (-(-(side + 2 * MARGIN) // _GRID) for side in (height, width))
    moved = []
    for position in (x, y):
        broad = fractal(rng, height=rows, width=columns, slope=2.6, longest=500 / _GRID, step=4)
        rough = fractal(rng, height=rows, width=columns, slope=2.1, longest=30 / _GRID)
        bends = sample(26.0 * broad + 2.0 * rough, x + MARGIN, y + MARGIN, step=_GRID)
        moved.append(position + bends)
    fixed = np.rint(np.stack(moved, axis=-1) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    return np.split(fixed[:, None, :], np.cumsum(counts)[:-1])


def _densify(pieces: list[Polygon]) -> tuple[NDArray[np.complex128], NDArray[np.int64]]:
    """Return points every `_SPACING` pixels along all outlines, and how many belong to each piece."""
    corners = np.concatenate([np.array(piece) for piece in pieces])
    nexts = np.concatenate([np.array(piece[1:] + piece[:1]) for piece in pieces])
    counts = np.maximum(1, np.ceil(np.abs(nexts - corners) / _SPACING)).astype(np.int64)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    share = (np.arange(counts.sum()) - first) / np.repeat(counts, counts)
    points = np.repeat(corners, counts) + share * np.repeat(nexts - corners, counts)
    owner = np.repeat(np.arange(len(pieces)), [len(piece) for piece in pieces])
    return points, np.bincount(owner, weights=counts, minlength=len(pieces)).astype(np.int64)
