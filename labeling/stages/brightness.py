"""A scene's brightness through its stages: a sample is kept when blocks are decoded, and counted once it is
known which pixels get a class.

Sampled pixels lie on a grid of the scene, so their histogram, and all that follows from it, is the same for
any cut.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from labeling.cuts.histogram import LEVELS, Counts, on_grid, sample_step
from labeling.grid import Block
from labeling.ice.label import PixelState
from labeling.ice.thresholds import brightness
from labeling.scenes.contract.scene import SceneInfo
from labeling.stages.planes import Planes

_NOTE = "brightness"


def note_brightness(rgb: NDArray[np.uint8], block: Block, info: SceneInfo, planes: Planes) -> None:
    """Keep the brightness of a decoded block's sampled pixels; `rgb` is u8 (3, height, width)."""
    step = sample_step(height=info.height, width=info.width)
    planes.note(_NOTE, block, value=brightness(on_grid(rgb, block, step)))


class BrightnessCount:
    """The histogram of V over a scene's pixels that get a class, added up block by block."""

    def __init__(self, info: SceneInfo, planes: Planes) -> None:
        self._planes = planes
        self._step = sample_step(height=info.height, width=info.width)
        self.counts: Counts = np.zeros(LEVELS, np.int64)

    def add(self, block: Block, state: NDArray[np.uint8]) -> None:
        """Count a block, once; `state` has its settled PixelState codes, u8 (height, width)."""
        value = self._planes.noted(_NOTE, block)["value"]
        classed = on_grid(state, block, self._step) < PixelState.NODATA
        self.counts += np.bincount(value[classed], minlength=LEVELS)
