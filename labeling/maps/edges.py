"""The ice edge: lines of equal concentration, and by how much area two edges differ."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from skimage.measure import find_contours

LEVELS: Final = (0.15, 0.30, 0.70)
"""Concentrations of the edges: of the ice as it is commonly told, of the open and of the close pack."""

Line = NDArray[np.float64]
"""(points, 2): x and y."""


class EdgeError(NamedTuple):
    """How a field's ice extent differs from a reference's, in square metres (Goessling et al. 2016)."""

    over: float
    """Where the field alone has ice."""
    under: float
    """Where the reference alone has ice."""
    compared: float
    """Where both are known."""

    @property
    def total(self) -> float:
        """The integrated ice-edge error, IIEE."""
        return self.over + self.under

    @property
    def extent(self) -> float:
        """How much of it is too much or too little ice (absolute extent error)."""
        return abs(self.over - self.under)

    @property
    def misplaced(self) -> float:
        """How much of it is ice in the wrong place (misplacement error)."""
        return 2 * min(self.over, self.under)


def edge_lines(concentration: NDArray[np.float32], transform: Affine, level: float) -> list[Line]:
    """Return lines along which concentration, 0..1 (rows, columns), NaN where unknown, is `level`.

    Values are those of cells' middles and change linearly between them, so a single row has none. Lines end
    where cells are unknown, and closed ones end where they begin; more ice lies to their left if rows run
    down. Coordinates are those of `transform`.
    """
    lines: list[Line] = []
    if min(concentration.shape) < 2:
        return lines
    for line in find_contours(np.asarray(concentration, np.float64), level, positive_orientation="high"):
        rows, columns = line.T + 0.5
        x = transform.a * columns + transform.b * rows + transform.c
        y = transform.d * columns + transform.e * rows + transform.f
        lines.append(np.stack([x, y], 1))
    return lines


def edge_error(
    field: NDArray[np.float32],
    reference: NDArray[np.float32],
    areas: NDArray[np.float64],
    level: float = LEVELS[0],
) -> EdgeError:
    """Compare concentrations, 0..1 on one grid, NaN where unknown; `areas` are the cells' square metres."""
    known = np.isfinite(field) & np.isfinite(reference)
    ice, expected = field >= level, reference >= level
    sums = (areas[known & ice & ~expected], areas[known & ~ice & expected], areas[known])
    return EdgeError(*(float(part.sum()) for part in sums))
