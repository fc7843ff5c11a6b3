"""A doubt: what was labelled although something speaks against it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Doubt(NamedTuple):
    """Something that speaks against a scene's labels."""

    code: str
    """A short word for programs, for example "dark-peak"."""
    text: str
    """A sentence with figures, and the way out."""


def dump_doubts(doubts: Iterable[Doubt]) -> list[dict[str, str]]:
    """Return doubts as they stand in a completion mark."""
    return [doubt._asdict() for doubt in doubts]
