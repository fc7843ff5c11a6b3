"""A scene in memory, for tests of what happens to any scene."""

import numpy as np

from labeling.scenes.contract.rendering import RGB8
from labeling.scenes.contract.scene import Pixels, SceneInfo


class ArrayScene:
    """Holds (3, height, width) u8 and what is valid of it, and counts how often each pixel was read."""

    product = None

    def __init__(self, rgb, valid=None, **facts):
        self._rgb, self._valid = rgb, valid
        self.reads = np.zeros(rgb.shape[1:], int)
        _, height, width = rgb.shape
        facts = {
            "uri": "/array", "group": "array", "renderings": [RGB8], "height": height, "width": width,
            "crs": None, "transform": None, "block": [1, width], "bytes": 1, "modified_ns": 1,
        } | facts  # fmt: skip
        self.info = SceneInfo(**facts)

    def read(self, block):
        self.reads[block.slices] += 1
        rows, columns = block.slices
        valid = None if self._valid is None else self._valid[rows, columns]
        return Pixels(self._rgb[:, rows, columns], valid)

    def preview(self, *, height, width):
        raise NotImplementedError
