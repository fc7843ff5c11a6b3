"""The loops of skies and tones, each one pass over a field or a band; see skies.py and tones.py.

numba compiles them to vector code, which needs bands that lie by themselves. They hold no lock of Python's,
so threads draw side by side. Fields are float32 and each operation on them rounds by itself.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from labeling.ice.kernels import compiled

Field = NDArray[np.float32]
Band = NDArray[np.uint8]

_BEND: Final = -0.75
"""Slope of cubic convolution, as OpenCV has it (Keys, 1981, has -0.5)."""


@compiled
def add_enlarged(knots: Field, height: int, width: int, total: Field) -> None:
    """Add to `total` the lower right corner of `knots` enlarged to (height, width).

    Between knots it is cubic as cv2.resize's INTER_CUBIC is, which cannot make a corner alone.
    """
    rows, columns = total.shape
    nearest = np.empty((2, max(rows, columns), 4), np.int64)
    weights = np.empty((2, max(rows, columns), 4), np.float32)
    for axis in range(2):
        size, count = (height, rows) if axis == 0 else (width, columns)
        last = knots.shape[axis] - 1
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
    wide = np.empty((knots.shape[0], columns), np.float32)
    for y in range(nearest[0, 0, 0], knots.shape[0]):
        for x in range(columns):
            value = np.float32(0)
            for k in range(4):
                value += knots[y, nearest[1, x, k]] * weights[1, x, k]
            wide[y, x] = value
    for y in range(rows):
        into, around = total[y], nearest[0, y]
        a, b, c, d = wide[around[0]], wide[around[1]], wide[around[2]], wide[around[3]]
        p, q, r, s = weights[0, y]
        for x in range(columns):
            into[x] += p * a[x] + q * b[x] + (r * c[x] + s * d[x])


@compiled
def look_through(
    band: Band, cloud: Field, shadow: Field, light: np.float32, noise: Field, spread: np.float32
) -> None:
    """Change a band, u8, into what it is under cloud and shadow, shares 0..1; none of it becomes 0.

    `light` is the cloud's own. Where no light of the surface is left, `noise` counts `spread` times. All are
    (height, width).
    """
    one, most = np.float32(1), np.float32(255)
    for y in range(band.shape[0]):
        into, over, shade, grain = band[y], cloud[y], shadow[y], noise[y]
        for x in range(into.size):
            kept = (one - over[x]) * (one - shade[x])
            lost = np.sqrt(one - kept * kept) * spread
            level = np.rint(kept * np.float32(into[x]) + (light * over[x] + lost * grain[x]))
            into[x] = np.uint8(np.int32(min(max(level, one), most)))


@compiled
def mix(one: Field, other: Field, way: Field, steps: np.float32) -> None:
    """Change `one` into `other` as far as `way` says, of which 0..1 counts; all are (height, width).

    With `steps` above 0 the way is rounded to that many.
    """
    none, whole = np.float32(0), np.float32(1)
    for y in range(one.shape[0]):
        into, goal, far = one[y], other[y], way[y]
        if steps > none:
            for x in range(into.size):
                share = np.rint(min(max(far[x], none), whole) * steps) / steps
                into[x] += share * (goal[x] - into[x])
        else:
            for x in range(into.size):
                into[x] += min(max(far[x], none), whole) * (goal[x] - into[x])


@compiled
def bounded_ratio(
    value: Band, wanted: Field, noise: Field, spread: np.float32, water_max: int, thin_ice_max: int
) -> None:
    """Change `wanted` values into what `value`, u8, is to be multiplied by; all are (height, width).

    They get noise of `spread`, are rounded, and stay in the class of `value`.
    """
    lowest_thin, lowest_thick = np.float32(water_max + 1), np.float32(thin_ice_max + 1)
    one, most = np.float32(1), np.float32(255)
    for y in range(value.shape[0]):
        into, seen, grain = wanted[y], value[y], noise[y]
        for x in range(into.size):
            now = np.float32(seen[x])
            low = min(now, one)
            high = lowest_thin - one if now > 0 else now
            if now >= lowest_thin:
                low, high = lowest_thin, lowest_thick - one
            if now >= lowest_thick:
                low, high = lowest_thick, most
            level = np.rint(into[x] + spread * grain[x])
            into[x] = min(max(level, low), high) / max(now, one)


@compiled
def multiply(band: Band, ratio: Field) -> None:
    """Multiply a band, u8, by ratios that leave it below 255.5; both are (height, width)."""
    for y in range(band.shape[0]):
        into, times = band[y], ratio[y]
        for x in range(into.size):
            into[x] = np.uint8(np.int32(np.rint(np.float32(into[x]) * times[x])))
