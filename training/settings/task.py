"""What a network is trained to name: the class of every pixel, or the kind of a whole chip.

A chip's kind is a label picture of one pixel. So losses, sums over ranks, metrics and everything else that
works on pictures of class codes serve both tasks unchanged.
"""

from __future__ import annotations

from typing import Final, Literal

from labeling.chips.kinds import ChipKind
from labeling.classes import IceClass

Task = Literal["segment", "classify"]

CLASSES: Final[dict[Task, tuple[IceClass | ChipKind, ...]]] = {
    "segment": tuple(IceClass),
    "classify": tuple(ChipKind),
}
"""The classes of each task; a code is the index of its probability."""


def class_names(task: Task) -> tuple[str, ...]:
    """Return the name of each class as tables and files have it: "water", "thin_ice" …"""
    return tuple(each.name.lower() for each in CLASSES[task])
