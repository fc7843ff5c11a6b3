"""What a whole chip shows, named from what is known of its pixels. NumPy only."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from labeling.classes import IGNORE, IceClass


class ChipKind(IntEnum):
    """Code of a chip's kind (u8); the first three are the codes of the ice classes."""

    WATER = 0
    THIN_ICE = 1
    THICK_ICE = 2
    MIXED = 3
    CLOUD = 4

    @property
    def title(self) -> str:
        """Name for legends and tables."""
        return IceClass(self).title if self < len(IceClass) else self.name.lower()


CLOUDY: Final = 0.5
"""Share of a chip's pixels under cloud or its shadow that makes it a cloud chip: half shows no surface."""

UNKNOWN: Final = 0.5
"""Share of ignored pixels from which a chip that is no cloud chip has no kind: nobody knows most of it."""

PURE: Final = 0.9
"""Share of the labelled pixels that makes a chip one of an ice class. Nine tenths, as in the WMO's sea-ice
nomenclature, where open water has less than one tenth of ice and very close ice has nine tenths or more."""


def chip_kinds(
    class_fractions: NDArray[np.floating[Any]],
    ignore_fraction: NDArray[np.floating[Any]],
    cloud_fraction: NDArray[np.floating[Any]],
) -> NDArray[np.uint8]:
    """Return the kind of each chip, u8 (N,): codes of ChipKind, IGNORE where nobody can tell.

    The arguments are the columns of the chips' Parquet files: `class_fractions` (N, 3), 0..1 of the labelled
    pixels in the order of the class codes; `ignore_fraction` and `cloud_fraction` (N,), 0..1 of all pixels,
    `cloud_fraction` NaN where nobody looked for cloud. Raises ValueError for arrays of other shapes.
    """
    count = len(class_fractions)
    shapes = class_fractions.shape, ignore_fraction.shape, cloud_fraction.shape
    if shapes != ((count, len(IceClass)), (count,), (count,)):
        raise ValueError(f"expected fractions (N, {len(IceClass)}), (N,) and (N,), not {shapes}")
    pure = class_fractions >= PURE
    surface = np.where(pure.any(axis=1), pure.argmax(axis=1), ChipKind.MIXED)
    known = np.where(ignore_fraction >= UNKNOWN, IGNORE, surface)
    # A comparison with NaN is false.
    return np.where(cloud_fraction >= CLOUDY, ChipKind.CLOUD, known).astype(np.uint8)
