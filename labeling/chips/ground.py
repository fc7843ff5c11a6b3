"""Which pieces of ground overlap, whatever their files are called: scenes, and the chips cut from them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

SIDE_POINTS: Final = 16
"""Points along each side of a piece of ground drawn in another's coordinates, where sides are curves."""

_INSET: Final = 0.25
"""Pixels by which pieces of one grid are drawn small: neighbours that touch do not overlap."""

_INSET_ELSEWHERE: Final = 2.0
"""The same in another's coordinates, where sides between two points are drawn straight."""


class Ground(NamedTuple):
    """A rectangle of pixels on the earth."""

    crs: str
    """WKT, or anything else that names a coordinate system."""
    transform: tuple[float, ...]
    """From (column, row) to coordinates: affine a, b, c, d, e, f."""
    height: int
    width: int

    def part(self, row: int, column: int, size: int, reach: int = 0) -> Ground:
        """Return the square of `size` pixels whose upper left pixel is given, grown by `reach` all around."""
        a, b, c, d, e, f = self.transform
        left, top = column - reach, row - reach
        moved = (a, b, a * left + b * top + c, d, e, d * left + e * top + f)
        return Ground(self.crs, moved, size + 2 * reach, size + 2 * reach)


def ground_of(
    crs: str | None, transform: Sequence[float] | None, *, height: int, width: int
) -> Ground | None:
    """Return the ground of a raster; None where it does not say where it lies."""
    if not crs or not transform:
        return None
    return Ground(crs, tuple(transform[:6]), height, width)


def overlaps(first: Sequence[Ground], second: Sequence[Ground]) -> list[tuple[int, int]]:
    """Return (index in `first`, index in `second`) of all pairs that share ground, in order.

    What only touches, or shares less than about a pixel, does not overlap.
    """
    return sorted(tuple(pair) for pairs in _matches(first, second) for pair in pairs.T.tolist())


def covered(first: Sequence[Ground], second: Iterable[Ground]) -> NDArray[np.bool_]:
    """Tell of each of `first`, bool (len(first),), whether it shares ground with any of `second`."""
    pieces = list(dict.fromkeys(first))  # scenes of one tile have the same places
    hit = np.zeros(len(pieces), np.bool_)
    for pairs in _matches(pieces, list(dict.fromkeys(second))):
        hit[pairs[0]] = True
    known = dict(zip(pieces, hit.tolist(), strict=True))
    return np.array([known[piece] for piece in first], np.bool_)


def joined(count: int, links: Iterable[tuple[int, int]]) -> list[int]:
    """Return the group of each of `count` things, named by its first member, where linked ones are together.

    >>> joined(5, [(0, 2), (4, 2)])
    [0, 1, 0, 3, 0]
    """
    leader = list(range(count))

    def find(index: int) -> int:
        while leader[index] != index:
            index = leader[index]
        return index

    for one, other in links:
        low, high = sorted((find(one), find(other)))
        leader[high] = low
    return [find(index) for index in range(count)]


def same(keys: Sequence[Hashable]) -> Iterator[tuple[int, int]]:
    """Yield links between all things of one key; None is no key."""
    first: dict[Hashable, int] = {}
    for index, key in enumerate(keys):
        if key is not None:
            yield first.setdefault(key, index), index


class _Members(NamedTuple):
    """What lies in one coordinate system, by index."""

    crs: str
    members: list[int]


def _matches(first: Sequence[Ground], second: Sequence[Ground]) -> Iterator[NDArray[np.int64]]:
    """Yield pairs of indices, i64 (2, N), for each pair of coordinate systems."""
    for one in _by_crs(first):
        for other in _by_crs(second):
            frame, elsewhere = _frame(one.crs, other.crs), one.crs != other.crs
            tree = shapely.STRtree(_outlines([second[i] for i in other.members], frame, elsewhere))
            drawn = _outlines([first[i] for i in one.members], frame, elsewhere)
            here, there = tree.query(drawn, predicate="intersects")
            yield np.stack([np.array(one.members)[here], np.array(other.members)[there]])


def _by_crs(grounds: Sequence[Ground]) -> list[_Members]:
    found: dict[str, list[int]] = {}
    for index, ground in enumerate(grounds):
        found.setdefault(ground.crs, []).append(index)
    return [_Members(*item) for item in found.items()]


@lru_cache(maxsize=256)
def _system(crs: str) -> CRS:
    return CRS.from_user_input(crs)


def _frame(one: str, other: str) -> str:
    """Return the coordinate system two pieces are drawn in: a projected one has no edge at 180 degrees."""
    try:
        return other if one != other and _system(other).is_projected else one
    except ProjError:
        return one


@lru_cache(maxsize=1024)
def _to_frame(crs: str, frame: str) -> Transformer:
    return Transformer.from_crs(_system(crs), _system(frame), always_xy=True)


def _outlines(grounds: Sequence[Ground], frame: str, elsewhere: bool) -> NDArray[Any]:
    """Return polygons in the coordinates of `frame`; an empty one for ground that cannot be drawn there."""
    points = SIDE_POINTS if elsewhere else 1
    inset = _INSET_ELSEWHERE if elsewhere else _INSET
    sizes = np.array([(each.width, each.height) for each in grounds], np.float64)
    inside = np.minimum(inset, sizes.min(axis=1) / 4)[:, None, None]
    outline = inside + _unit_outline(points) * (sizes[:, None, :] - 2 * inside)
    a, b, c, d, e, f = np.array([each.transform for each in grounds], np.float64).T[:, :, None]
    x = a * outline[..., 0] + b * outline[..., 1] + c
    y = d * outline[..., 0] + e * outline[..., 1] + f
    if elsewhere and grounds[0].crs != frame:
        try:
            x, y = _to_frame(grounds[0].crs, frame).transform(x, y)
        except ProjError:
            x = np.full_like(x, np.nan)
    good = np.isfinite(x).all(axis=1) & np.isfinite(y).all(axis=1)
    polygons = np.full(len(grounds), shapely.Polygon(), dtype=object)
    polygons[good] = shapely.polygons(np.stack([x[good], y[good]], axis=-1))
    return np.where(shapely.is_valid(polygons), polygons, shapely.convex_hull(polygons))


def _unit_outline(points: int) -> NDArray[np.float64]:
    """Return the outline of a square from 0 to 1, (4 * points, 2)."""
    along = np.arange(points) / points
    zero, one = np.zeros(points), np.ones(points)
    x = np.concatenate([along, one, 1 - along, zero])
    y = np.concatenate([zero, along, one, 1 - along])
    return np.stack([x, y], axis=-1)
