"""What the codes of a raster mean: their names and colours, whoever shows or lists them."""

from __future__ import annotations

from typing import Final, NamedTuple

from labeling.classes import IGNORE, PALETTES, IceClass, Rgb
from labeling.status import UNKNOWN, PixelStatus


class Entry(NamedTuple):
    """A code of a raster."""

    code: int
    name: str
    """A short word for programs."""
    title: str
    """What legends say."""
    colour: Rgb

    @property
    def hex(self) -> str:
        """Its colour as six hexadecimal digits."""
        return "{:02x}{:02x}{:02x}".format(*self.colour)


class Legend(NamedTuple):
    """All codes of a raster of u8."""

    band: str
    """What the raster shows, a few words."""
    tag: str
    """Which tags of the band name the codes: CLASS_0 …"""
    entries: tuple[Entry, ...]
    nodata: int


def class_legend(palette: str = "polynya") -> Legend:
    """Return the legend of classes in the colours of a palette."""
    colours = PALETTES[palette]
    entries = [Entry(int(c), c.name.lower(), c.title, colours[c]) for c in IceClass]
    none = Entry(IGNORE, "ignore", "no class: no-data, cloud or land", colours[IGNORE])
    return Legend("ice class", "CLASS", (*entries, none), IGNORE)


STATUS: Final = Legend(
    "why a pixel has a class or none",
    "STATUS",
    tuple(Entry(int(s), s.name.lower(), s.title, s.colour) for s in PixelStatus),
    UNKNOWN,
)
"""The legend of status.tif."""
