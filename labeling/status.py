"""Why a pixel has a class or none: the codes of status.tif beside every label and map, named once."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from labeling.classes import Rgb


class PixelStatus(IntEnum):
    """Code of a pixel in status.tif (u8); of several reasons the first of NODATA, LAND, CLOUD counts."""

    CLASSIFIED = 0
    NODATA = 1
    """The scene has no data here: never a class."""
    CLOUD = 2
    """Under a cloud mask. Labels have no class here; a map has one where a network was asked."""
    LAND = 3
    """On land or an ice shelf: never a class."""
    LOW_SUN = 4
    """Classified, under a sun lower than the scene's rendering or limits are made for."""
    DOUBT = 5
    """Classified, but something speaks against it: the scene's doubts, or edges softened by cloud."""

    @property
    def title(self) -> str:
        """Name for legends and tables."""
        return _TITLES[self]

    @property
    def colour(self) -> Rgb:
        """Colour in viewers, 8 bit."""
        return _COLOURS[self]


UNKNOWN: Final = 255
"""Kept free in status.tif, as its no-data value: no pixel that is written has it."""

_TITLES: Final = {
    PixelStatus.CLASSIFIED: "classified",
    PixelStatus.NODATA: "no data",
    PixelStatus.CLOUD: "cloud",
    PixelStatus.LAND: "land or ice shelf",
    PixelStatus.LOW_SUN: "classified under a low sun",
    PixelStatus.DOUBT: "classified, in doubt",
}

_COLOURS: Final[dict[PixelStatus, Rgb]] = {
    # Apart from each other for every common colour blindness (after Okabe and Ito), and from classes.
    PixelStatus.CLASSIFIED: (0, 158, 115),
    PixelStatus.NODATA: (40, 40, 40),
    PixelStatus.CLOUD: (230, 230, 230),
    PixelStatus.LAND: (150, 110, 60),
    PixelStatus.LOW_SUN: (240, 228, 66),
    PixelStatus.DOUBT: (213, 94, 0),
}
