"""Overlapping windows for a network: where they lie, and what is read when they reach over the border."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from labeling.grid import Block, blocks
from labeling.scenes.contract.scene import Pixels, Scene, SceneInfo

_T = TypeVar("_T", bound=np.generic)


def cores(*, height: int, width: int, size: int, margin: int) -> Iterator[Block]:
    """Yield the parts of a scene that the windows answer for, row by row; they cover it exactly once.

    A window is `size` pixels wide and high. Its outer `margin` pixels are seen by the network but not used:
    their neighbours answer for them with more surroundings, so no seam shows. The windows' places depend on
    the scene alone, never on how the work is shared out. The margins must leave something of
    a window.
    """
    yield from blocks(height=height, width=width, size=size - 2 * margin)


def read_window(scene: Scene, core: Block, *, size: int, margin: int) -> Pixels:
    """Return the whole window around a core, (3, size, size), mirrored where it reaches over the border."""
    info = scene.info
    window = _window_in(info, core, size=size, margin=margin)
    rgb, valid, beyond = scene.read(window)
    above, left = margin - (core.row - window.row), margin - (core.column - window.column)
    padding = [(above, size - above - window.height), (left, size - left - window.width)]
    rgb = np.pad(rgb, [(0, 0), *padding], mode="symmetric")
    valid, beyond = (None if a is None else np.pad(a, padding, mode="symmetric") for a in (valid, beyond))
    return Pixels(rgb, valid, beyond)


def core_of(array: NDArray[_T], core: Block, *, margin: int) -> NDArray[_T]:
    """Return the core's part of a window's array (last two axes are rows, columns)."""
    return array[..., margin : margin + core.height, margin : margin + core.width]


def _window_in(info: SceneInfo, core: Block, *, size: int, margin: int) -> Block:
    """Return the part of a core's window that lies in the scene."""
    top, left = max(0, core.row - margin), max(0, core.column - margin)
    bottom = min(info.height, core.row - margin + size)
    right = min(info.width, core.column - margin + size)
    return Block(top, left, bottom - top, right - left)
