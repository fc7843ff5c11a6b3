"""The loops of skies and tones over pictures, each one pass; see skies.py, tones.py and fields.py.

numba compiles them to vector code, which needs bands that lie by themselves; what a row needs on the way
stays in the processor's nearest cache. They hold no lock of Python's,
so threads draw side by side. Fields are float32 and each operation on them rounds by itself;
noise comes as places in GRAINS.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from labeling.chips.fields import STEP, Field
from labeling.chips.noise import GRAINS
from labeling.ice.kernels import compiled

Levels = NDArray[np.uint8]


@compiled
def look_through(
    bands: Levels, cloud: Field, shadow: Field, lights: Field, noise: Levels, spread: np.float32
) -> None:
    """Change bands, u8 (3, height, width), into what they are under cloud and shadow, shares 0..1.

    Both shares are given every STEP pixels, from half a step inside the edge on, level before that and linear
    in between. `lights` (3,)
    is what the cloud adds to each band. Where no light of the surface is left, `noise` (height, width) counts
    `spread` times, mirrored for the other bands: it is independent from pixel to pixel, so one draw will do.
    Pixels that are black in all bands stay so, and no other becomes black.
    """
    one, most = np.float32(1), np.float32(255)
    height, width = noise.shape
    rows, columns = cloud.shape
    # As cv2.resize enlarges: horizontally first, and level beyond the outermost points.
    wide = np.empty((2, rows, columns * STEP), np.float32)
    for which, field in enumerate((cloud, shadow)):
        for k in range(rows):
            points, line = field[k], wide[which, k]
            for s in range(STEP // 2):
                line[s], line[STEP * columns - 1 - s] = points[0], points[columns - 1]
            for s in range(STEP):
                way = np.float32((s + 0.5) / STEP)
                for i in range(columns - 1):
                    line[STEP * i + STEP // 2 + s] = points[i] + way * (points[i + 1] - points[i])
    over, kept, lost = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    grains, data = np.empty((4, width), np.float32), np.empty(width, np.uint8)
    for pair in range((height + 1) // 2):
        # A row and its mirror image: each has the other's noise in its second band.
        for turn in range(2):
            source, grain, mirrored = (
                noise[height - 1 - pair if turn else pair],
                grains[turn],
                grains[2 + turn],
            )
            for x in range(width):
                grain[x] = GRAINS[source[x]]
            for x in range(width):
                mirrored[x] = grain[width - 1 - x]
        for turn in range(2 if 2 * pair + 1 < height else 1):
            y = height - 1 - pair if turn else pair
            place = (y + 0.5) / STEP - 0.5
            first = int(np.floor(place))
            way, above, below = np.float32(place - first), max(first, 0), min(first + 1, rows - 1)
            (a, b), (c, d) = (wide[0, above], wide[0, below]), (wide[1, above], wide[1, below])
            red, green, blue = bands[0, y], bands[1, y], bands[2, y]
            black = False
            for x in range(width):
                data[x] = red[x] | green[x] | blue[x]
                black |= data[x] == 0
            for x in range(width):
                over[x] = a[x] + way * (b[x] - a[x])
                free = (one - over[x]) * (one - (c[x] + way * (d[x] - c[x])))
                kept[x], lost[x] = free, np.sqrt(one - free * free) * spread
            for band, grain in enumerate((grains[turn], grains[1 - turn], grains[2 + turn])):
                into, own = bands[band, y], lights[band]
                for x in range(width):
                    level = np.rint(kept[x] * np.float32(into[x]) + (own * over[x] + lost[x] * grain[x]))
                    into[x] = np.uint8(np.int32(min(max(level, one), most)))
                if black:
                    for x in range(width):
                        into[x] = into[x] if data[x] else np.uint8(0)


@compiled
def curved(bands: Levels, curve: Field, into: Field) -> None:
    """Put what a curve (256,) makes of V, the highest of three bands, into a field (height, width)."""
    value = np.empty(into.shape[1], np.uint8)
    for y in range(into.shape[0]):
        red, green, blue, line = bands[0, y], bands[1, y], bands[2, y], into[y]
        for x in range(value.size):
            value[x] = max(max(red[x], green[x]), blue[x])
        for x in range(value.size):
            line[x] = curve[value[x]]


@compiled
def mix(bands: Levels, curve: Field, way: Field, steps: np.float32, into: Field) -> None:
    """Change a field into what a curve makes of V as far as `way` says, of which 0..1 counts.

    Both are (height, width). With `steps` above 0 the way is rounded to that many.
    """
    none, whole = np.float32(0), np.float32(1)
    value, goal = np.empty(into.shape[1], np.uint8), np.empty(into.shape[1], np.float32)
    for y in range(into.shape[0]):
        red, green, blue, line, far = bands[0, y], bands[1, y], bands[2, y], into[y], way[y]
        for x in range(value.size):
            value[x] = max(max(red[x], green[x]), blue[x])
        for x in range(value.size):
            goal[x] = curve[value[x]]
        if steps > none:
            for x in range(value.size):
                share = np.rint(min(max(far[x], none), whole) * steps) / steps
                line[x] += share * (goal[x] - line[x])
        else:
            for x in range(value.size):
                line[x] += min(max(far[x], none), whole) * (goal[x] - line[x])


@compiled
def retone(
    bands: Levels, wanted: Field, noise: Levels, spread: np.float32, water_max: int, thin_ice_max: int
) -> None:
    """Multiply bands, u8 (3, height, width), so that V, the highest of them, becomes what is wanted.

    `wanted` and `noise` are (height, width). The wanted V gets noise of `spread`, is rounded, and stays in
    the class that V is in.
    """
    lowest_thin, lowest_thick = np.float32(water_max + 1), np.float32(thin_ice_max + 1)
    one, most = np.float32(1), np.float32(255)
    grain, ratio = np.empty(wanted.shape[1], np.float32), np.empty(wanted.shape[1], np.float32)
    for y in range(wanted.shape[0]):
        red, green, blue, goal, source = bands[0, y], bands[1, y], bands[2, y], wanted[y], noise[y]
        for x in range(grain.size):
            grain[x] = GRAINS[source[x]]
        for x in range(ratio.size):
            now = np.float32(max(max(red[x], green[x]), blue[x]))
            low = min(now, one)
            high = lowest_thin - one if now > 0 else now
            if now >= lowest_thin:
                low, high = lowest_thin, lowest_thick - one
            if now >= lowest_thick:
                low, high = lowest_thick, most
            level = np.rint(goal[x] + spread * grain[x])
            ratio[x] = min(max(level, low), high) / max(now, one)
        for band in range(3):
            line = bands[band, y]
            for x in range(ratio.size):
                line[x] = np.uint8(np.int32(np.rint(np.float32(line[x]) * ratio[x])))


@compiled
def multiply(levels: Levels, gain: float) -> None:
    """Multiply levels, u8 (n,), by a gain, as exact as it is, and round; none but 0 becomes 0."""
    one, most, factor = np.float32(1), np.float32(255), np.float32(gain)
    products, same = np.empty(256, np.uint8), True
    for level in range(256):
        exact = min(max(np.rint(level * gain), min(level, 1)), 255)
        quick = min(max(np.rint(np.float32(level) * factor), min(np.float32(level), one)), most)
        products[level] = np.uint8(exact)
        same &= exact == quick
    # float32 is a quarter of the time of a look-up, and hardly ever rounds another way.
    if same:
        for i in range(levels.size):
            was = np.float32(levels[i])
            levels[i] = np.uint8(np.int32(min(max(np.rint(was * factor), min(was, one)), most)))
    else:
        for i in range(levels.size):
            levels[i] = products[levels[i]]
