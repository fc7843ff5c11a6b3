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

Labels = NDArray[np.int32]


class Floes(NamedTuple):
    """Floes of a map."""

    labels: Labels
    """(height, width): 0 where there is no floe, else 1 to `count`, in the order of their deepest places."""
    cut: NDArray[np.bool_]
    """(count,): of floe 1, 2 …, whether it touches the map's border or what has no class, so that nobody knows
    how large it is."""

    @property
    def count(self) -> int:
        """How many floes there are, cut ones included."""
        return len(self.cut)


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
    Takes about 30 bytes a pixel.
    """
    unknown = classes == IGNORE
    solid = _without_holes(np.isin(classes, list(ice)), unknown, hole)
    if not solid.any():
        return Floes(np.zeros(classes.shape, np.int32), np.zeros(0, np.bool_))
    distance = cv2.distanceTransform(solid, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # A map of nothing but ice has no distance, and is one floe.
    seeds = np.ones_like(solid) if solid.all() else local_maxima(distance, connectivity=1)
    _, markers = cv2.connectedComponents(seeds.astype(np.uint8), connectivity=4, ltype=cv2.CV_32S)
    del seeds
    basins = watershed(-distance, markers, mask=solid.view(np.bool_))
    del markers
    floe_of = _joined(basins, distance, neck)
    labels = np.asarray(floe_of[basins], np.int32)
    return Floes(labels, _cut(labels, unknown, int(floe_of.max())))


def _without_holes(solid: NDArray[np.bool_], unknown: NDArray[np.bool_], hole: int) -> NDArray[np.uint8]:
    """Return 1 where there is ice, or a small hole in it, u8."""
    filled = solid.astype(np.uint8)
    if hole == 0:
        return filled
    count, gaps, stats, _ = cv2.connectedComponentsWithStats(1 - filled, connectivity=8, ltype=cv2.CV_32S)
    height, width = solid.shape
    left, top = stats[:, cv2.CC_STAT_LEFT], stats[:, cv2.CC_STAT_TOP]
    right, bottom = left + stats[:, cv2.CC_STAT_WIDTH], top + stats[:, cv2.CC_STAT_HEIGHT]
    small = (
        (stats[:, cv2.CC_STAT_AREA] <= hole) & (left > 0) & (top > 0) & (right < width) & (bottom < height)
    )
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
    found = []
    for here, there in (
        ((slice(None), slice(1, None)), (slice(None), slice(-1))),
        ((slice(1, None),), (slice(-1),)),
    ):
        one, other = basins[here], basins[there]
        meet = (one != other) & (one > 0) & (other > 0)
        pair = np.sort(np.stack([one[meet], other[meet]]), axis=0)
        found.append((*pair, np.minimum(distance[here][meet], distance[there][meet])))
    low, high, half_width = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort([high, low, -half_width])
    return list(zip(low[order].tolist(), high[order].tolist(), half_width[order].tolist(), strict=True))


def _cut(labels: Labels, unknown: NDArray[np.bool_], count: int) -> NDArray[np.bool_]:
    """Return whether floe 1, 2 … touches the border or, by a side or a corner, what has no class."""
    cut = np.zeros(count + 1, np.bool_)
    for border in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        cut[border] = True
    if unknown.any():
        near = cv2.dilate(unknown.astype(np.uint8), np.ones((3, 3), np.uint8))
        cut[labels[near > 0]] = True
    return cut[1:]
