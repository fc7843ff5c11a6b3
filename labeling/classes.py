"""The ice classes, their codes and their colours, named once for the whole project."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class IceClass(IntEnum):
    """Code of a pixel in every label and map (u8)."""

    WATER = 0
    THIN_ICE = 1
    THICK_ICE = 2

    @property
    def title(self) -> str:
        """Name for legends and tables."""
        return _TITLES[self]


IGNORE: Final = 255
"""Code of a pixel that has no class (no-data, cloud, land): never in a loss, a metric or an area."""

CLASS_CODES: Final = tuple(int(c) for c in IceClass)
CLASS_COUNT: Final = len(IceClass)

_TITLES: Final = {
    IceClass.WATER: "open water",
    IceClass.THIN_ICE: "thin ice",
    IceClass.THICK_ICE: "thick ice",
}

Rgb = tuple[int, int, int]

PALETTES: Final[dict[str, dict[int, Rgb]]] = {
    # Dark to light like the ice itself; the three stay apart for every common colour blindness and in grey.
    "polynya": {0: (13, 47, 92), 1: (86, 180, 233), 2: (250, 244, 228), IGNORE: (110, 110, 110)},
    # The colours of Iqrah et al. 2024: red thick, blue thin, green water.
    "iqrah-2024": {0: (0, 255, 0), 1: (0, 0, 255), 2: (255, 0, 0), IGNORE: (0, 0, 0)},
}
"""RGB of each class code, 8 bit."""
