"""What a scene's windows add up to before its labels are known."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labeling.ice.shadow_cells import NUMBERS

KEYS: Final = 256
"""Keys that a pixel may have."""


class SceneSums(NamedTuple):
    """Whole numbers, so that their sum over the windows decides the same for any cut."""

    keys: NDArray[np.int64]
    """(256,): pixels that get a class, by key."""
    cells: NDArray[np.int64]
    """(n, NUMBERS): a row for each window and cell of the grid that it touches; none without a guard."""

    @classmethod
    def none(cls) -> SceneSums:
        """Return the sums of no window."""
        return cls(np.zeros(KEYS, np.int64), np.zeros((0, NUMBERS), np.int64))

    def __add__(self, other: SceneSums) -> SceneSums:  # type: ignore[override] # of the windows, not a longer tuple
        cells = np.concatenate([self.cells, other.cells])
        return SceneSums(self.keys + other.keys, cells)

    def dumps(self) -> list[int]:
        """Return all numbers in one list."""
        return [int(number) for part in self for number in part.flat]

    @classmethod
    def loads(cls, numbers: list[int]) -> SceneSums:
        """Return what `dumps` listed."""
        keys, cells = np.split(np.asarray(numbers, np.int64), [KEYS])
        return cls(keys, cells.reshape(-1, NUMBERS))
