"""Sentinel-2 products as scenes: true colour from reflectance, in a named rendering."""

from __future__ import annotations

from functools import cached_property
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from labeling.bands import RED
from labeling.files.state import FileState
from labeling.grid import Block
from labeling.scenes.contract.plausible import sort_out
from labeling.scenes.contract.product import GRID, TRUE_COLOUR, Product, angles_of
from labeling.scenes.contract.rendering import find_rendering, render, renderings_of
from labeling.scenes.contract.scene import Pixels, SceneInfo
from labeling.text import encodable

COARSEST: Final = 60
"""Side in metres of the pixels of which a small preview is made."""

_STRIP_ROWS: Final = 1020
"""Rows of 10 m that a preview holds at a time; whole pixels of 60 m."""


class ProductScene:
    """A product's red, green and blue as an 8-bit picture on its 10 m grid."""

    def __init__(self, uri: str, product: Product, state: FileState, rendering: str | None) -> None:
        self._uri = uri
        self._product = product
        self.product: Product | None = product
        self._state = state
        self._renderings = renderings_of(product.facts.product_type)
        self._rendering = rendering or self._renderings[0]

    @cached_property
    def info(self) -> SceneInfo:
        """The product's description; its group is the acquisition, which neighbouring granules share."""
        facts = self._product.facts
        layout = self._product.layout(RED)
        step = layout.resolution // GRID
        time, angles = facts.sensing_time, angles_of(facts)
        return SceneInfo(
            uri=self._uri,
            group=encodable(facts.acquisition),
            renderings=self._renderings,
            height=facts.height,
            width=facts.width,
            crs=facts.crs.to_wkt(),
            transform=list(facts.transform)[:6],
            block=[
                min(layout.block_height * step, facts.height),
                min(layout.block_width * step, facts.width),
            ],
            bytes=self._state.bytes,
            modified_ns=self._state.modified_ns,
            etag=self._state.etag,
            product_type=facts.product_type,
            baseline=facts.baseline,
            sensing_time=time.isoformat() if time else None,
            relative_orbit=facts.relative_orbit,
            tile=facts.tile,
            sun_zenith=facts.sun_zenith,
            angles=[list(each) for each in angles] if angles else None,
            unit=facts.unit,
        )

    def read(self, block: Block) -> Pixels:
        """Read and render a window; pixels without data are (0, 0, 0) and not valid."""
        found = self._product.read(block, TRUE_COLOUR)
        valid, beyond = sort_out(found)
        return Pixels(self._render(found.values, valid), valid, beyond)

    def preview(self, *, height: int, width: int) -> NDArray[np.uint8]:
        """Return the scene reduced to (height, width, 3), u8; reads all of it, strip by strip."""
        facts = self._product.facts
        # Averaged to coarse pixels where they are still finer than the preview's.
        coarse = COARSEST if min(facts.height // height, facts.width // width) >= COARSEST // GRID else GRID
        rows, columns = facts.height * GRID // coarse, facts.width * GRID // coarse
        strips = []
        for row in range(0, rows, _STRIP_ROWS * GRID // coarse):
            block = Block(row, 0, min(_STRIP_ROWS * GRID // coarse, rows - row), columns)
            values, valid, _ = self._product.read(block, TRUE_COLOUR, resolution=coarse)
            strips.append(self._render(values, valid))
        rgb = np.concatenate(strips, axis=1).transpose(1, 2, 0)
        picture = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
        return np.asarray(picture, np.uint8)

    def _render(self, values: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
        return render(values, valid, find_rendering(self._rendering), self.info.light)
