"""Floes of a map: pieces of ice, and where they merely touch, the pieces on both sides of the neck.

Ice that hangs together is cut by scikit-image's watershed on the distance to what is no ice, from every
maximum of it; then basins whose border is no neck are joined again. A neck is narrow beside the narrower
piece: its half width, the largest distance along the border, is by more than half a pixel less than `neck`
times that piece's largest distance. Distances within a convex piece have one maximum, so it is never cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.morphology import local_maxima
from skimage.segmentation import watershed

from labeling.classes import IGNORE, IceClass

NECK: Final = 0.7
"""How wide a neck is beside the narrower piece, at most; see benchmarks/maps/floes.py."""

_ROUNDING: Final = 0.5
"""Pixels by which a half width may be off: on a grid, the tip of a floe is wide and narrow by turns."""

HOLE: Final = 16
"""Pixels of a hole in ice, at most, that is taken for part of the floe: a speck would make two necks."""

BYTES: Final = 32
"""Of memory that a pixel takes at most, most of it the watershed's: 3.9 GB for a whole Sentinel-2 granule."""

_ROWS: Final = 256
"""Rows whose borders are looked at together."""

Labels = NDArray[np.int32]


class Floes(NamedTuple):
    """Floes of a map."""

    labels: Labels
    """(height, width): 0 where there is no floe, else 1 to n, in the order of their deepest places."""
    cut: NDArray[np.bool_]
    """(n,): of floe 1, 2 …, whether it touches the map's border or what has no class; nobody knows how large
    such a floe is."""


def find_floes(
    classes: NDArray[np.uint8],
    *,
    ice: Sequence[int] = (IceClass.THICK_ICE,),
    neck: float = NECK,
    hole: int = HOLE,
) -> Floes:
    """Find the floes of class codes, u8 (height, width); `ice` are the codes that floes are made of.

    Pixels hang together by their sides. A hole of at most `hole` pixels is part of its floe, unless it has
    pixels without a class or touches the border. `neck` is 0 (nothing is cut) to 1 (every maximum is a floe).
    Takes about BYTES a pixel.
    """
    unknown = classes == IGNORE
    solid = _without_holes(np.isin(classes, list(ice)), unknown, hole)
    if not solid.any():
        return Floes(np.zeros(classes.shape, np.int32), np.zeros(0, np.bool_))
    # Arguments only, and distances once more afterwards: the watershed keeps what it needs, in doubles.
    basins = watershed(-_distance(solid), _seeds(solid), mask=solid.view(np.bool_))
    floe_of = _joined(basins, _distance(solid), neck)
    labels = floe_of[basins]
    return Floes(labels, _cut(labels, unknown, int(floe_of.max())))


def _distance(solid: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the distance in pixels to what is no ice."""
    return np.asarray(cv2.distanceTransform(solid, cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32)


def _seeds(solid: NDArray[np.uint8]) -> Labels:
    """Return maxima of the distance, numbered."""
    # A map of nothing but ice has no distance, and is one floe.
    maxima = np.ones_like(solid) if solid.all() else local_maxima(_distance(solid), connectivity=1)
    _, seeds = cv2.connectedComponents(maxima.astype(np.uint8), connectivity=4, ltype=cv2.CV_32S)
    return np.asarray(seeds, np.int32)


def _without_holes(solid: NDArray[np.bool_], unknown: NDArray[np.bool_], hole: int) -> NDArray[np.uint8]:
    """Return 1 where there is ice, or a small hole in it, u8."""
    filled = solid.astype(np.uint8)
    if hole == 0:
        return filled
    _, gaps, stats, _ = cv2.connectedComponentsWithStats(1 - filled, connectivity=8, ltype=cv2.CV_32S)
    height, width = solid.shape
    left, top = stats[:, cv2.CC_STAT_LEFT], stats[:, cv2.CC_STAT_TOP]
    right, bottom = left + stats[:, cv2.CC_STAT_WIDTH], top + stats[:, cv2.CC_STAT_HEIGHT]
    inner = (left > 0) & (top > 0) & (right < width) & (bottom < height)
    small = inner & (stats[:, cv2.CC_STAT_AREA] <= hole)
    small[gaps[unknown]] = False
    small[0] = False  # the ice
    filled[small[gaps]] = 1
    return filled


def _joined(basins: Labels, distance: NDArray[np.float32], neck: float) -> NDArray[np.int32]:
    """Return the floe of basin 0, 1, 2 … after all basins are joined that no neck parts; 0 stays 0."""
    count = int(basins.max())
    depth = np.zeros(count + 1, np.float32)
    np.maximum.at(depth, basins.ravel(), distance.ravel())
    root = list(range(count + 1))
    peaks = depth.tolist()

    def find(basin: int) -> int:
        while root[basin] != basin:
            root[basin] = root[root[basin]]
            basin = root[basin]
        return basin

    # From the widest border down, so that both sides are as deep as they get before they are compared.
    for one, other, half_width in _borders(basins, distance):
        first, second = sorted((find(one), find(other)))
        if first != second and half_width + _ROUNDING >= neck * min(peaks[first], peaks[second]):
            root[second] = first
            peaks[first] = max(peaks[first], peaks[second])
    return np.unique([find(basin) for basin in range(count + 1)], return_inverse=True)[1].astype(np.int32)


def _borders(basins: Labels, distance: NDArray[np.float32]) -> list[tuple[int, int, float]]:
    """Return pairs of neighbouring basins and the largest distance along their border, widest first."""
    found = [_widest(np.zeros(0, np.int64), np.zeros(0, np.float32))]
    for top in range(0, len(basins), _ROWS):
        band = np.s_[top : top + _ROWS + 1]
        for here, there in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
            one, other = basins[band][here], basins[band][there]
            meet = (one != other) & (one > 0) & (other > 0)
            low, high = np.sort(np.stack([one[meet], other[meet]]), axis=0).astype(np.int64)
            half_widths = np.minimum(distance[band][here][meet], distance[band][there][meet])
            found.append(_widest(low << 32 | high, half_widths))
    pairs, half_widths = _widest(*(np.concatenate(parts) for parts in zip(*found, strict=True)))
    order = np.argsort(-half_widths, kind="stable")
    pairs, half_widths = pairs[order], half_widths[order]
    return list(zip((pairs >> 32).tolist(), (pairs & 0xFFFFFFFF).tolist(), half_widths.tolist(), strict=True))


def _widest(
    pairs: NDArray[np.int64], half_widths: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return each pair once, with its largest half width."""
    order = np.argsort(pairs, kind="stable")
    pairs, firsts = np.unique(pairs[order], return_index=True)
    return pairs, np.maximum.reduceat(half_widths[order], firsts) if len(firsts) else half_widths


def _cut(labels: Labels, unknown: NDArray[np.bool_], count: int) -> NDArray[np.bool_]:
    """Return whether floe 1, 2 … touches the border or, by a side or a corner, what has no class."""
    cut = np.zeros(count + 1, np.bool_)
    for border in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        cut[border] = True
    if unknown.any():
        near = cv2.dilate(unknown.astype(np.uint8), np.ones((3, 3), np.uint8))
        cut[labels[near > 0]] = True
    return cut[1:]
