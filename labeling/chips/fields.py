"""The loops over fields from which skies and tones are made: noise, and powers of it.

numba compiles them. They hold no lock of Python's, so threads draw side by side, and each does much: threads
that often ask for that lock wait for each other. Each operation on float32 rounds by itself.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from labeling.ice.kernels import compiled

Field = NDArray[np.float32]
Sizes = NDArray[np.int64]

STEP: Final = 4
"""Pixels between the points of a sky; clouds are soft.

Compiled into loops.py, whose kept code numba does not renew when this changes: change that file too.
"""

_BEND: Final = -0.75
"""Slope of cubic convolution, as OpenCV has it (Keys, 1981, has -0.5)."""


@compiled
def add_enlarged(knots: Field, counts: Sizes, sizes: Sizes, strengths: Field, total: Field) -> None:
    """Add lattices of knots to `total` (rows, columns), each enlarged and as strong as `strengths` (n,) says.

    `knots` are those of all lattices, flat, `counts` (n, 2) their rows and columns, and `sizes` (n, 2) to how
    many each is enlarged, of which the lower right corner counts. Between knots it is cubic as cv2.resize's
    INTER_CUBIC is, which cannot make a corner alone.
    """
    rows, columns = total.shape
    nearest = np.empty((2, max(rows, columns), 4), np.int64)
    weights = np.empty((2, max(rows, columns), 4), np.float32)
    start = 0
    for lattice in range(len(counts)):
        for axis in range(2):
            size, count = sizes[lattice, axis], rows if axis == 0 else columns
            last = counts[lattice, axis] - 1
            for i in range(count):
                place = (size - count + i + 0.5) * ((last + 1) / size) - 0.5
                first = int(np.floor(place))
                for k in range(4):
                    nearest[axis, i, k] = min(max(first - 1 + k, 0), last)
                part, weight = place - first, weights[axis, i]
                far, rest = 1 + part, 1 - part
                weight[0] = ((_BEND * far - 5 * _BEND) * far + 8 * _BEND) * far - 4 * _BEND
                weight[1] = ((_BEND + 2) * part - (_BEND + 3)) * part * part + 1
                weight[2] = ((_BEND + 2) * rest - (_BEND + 3)) * rest * rest + 1
                weight[3] = 1 - weight[0] - weight[1] - weight[2]
        high, across = counts[lattice]
        wide = np.empty((high, columns), np.float32)
        for y in range(nearest[0, 0, 0], high):
            line = start + y * across
            for x in range(columns):
                value = np.float32(0)
                for k in range(4):
                    value += knots[line + nearest[1, x, k]] * weights[1, x, k]
                wide[y, x] = value * strengths[lattice]
        for y in range(rows):
            into, around = total[y], nearest[0, y]
            a, b, c, d = wide[around[0]], wide[around[1]], wide[around[2]], wide[around[3]]
            p, q, r, s = weights[0, y]
            for x in range(columns):
                into[x] += p * a[x] + q * b[x] + (r * c[x] + s * d[x])
        start += high * across


@compiled
def look_up(field: Field, low: float, high: float, values: Field) -> None:
    """Change a field (rows, columns) into what `values` (n,) say, the first at `low` and the last at `high`.

    Between two of them it is linear; beyond the ends it is level.
    """
    none, last = np.float32(0), len(values) - 1
    scale, start, most = np.float32(last / (high - low)), np.float32(low), np.float32(last)
    for y in range(field.shape[0]):
        line = field[y]
        for x in range(line.size):
            place = min(max((line[x] - start) * scale, none), most)
            before = min(np.int32(place), np.int32(last - 1))
            part = place - np.float32(before)
            line[x] = values[before] + part * (values[before + 1] - values[before])
