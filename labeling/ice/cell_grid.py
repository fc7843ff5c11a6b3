"""Between the middles of cells of a grid: where pixels lie, so that what cells say changes without a step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def between(
    start: int, count: int, cells: int, side: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Return, for pixels from `start`, the cells whose middles lie before and after, and how far it is.

    `cells` is how many there are along this axis, of `side` pixels each; the distance is 0..1.
    """
    place = np.clip((np.arange(start, start + count) + 0.5) / side - 0.5, 0, cells - 1)
    before = np.floor(place).astype(np.intp)
    return before, np.minimum(before + 1, cells - 1), np.asarray(place - before, np.float32)
