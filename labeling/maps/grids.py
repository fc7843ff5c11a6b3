"""Grids of pixels on Earth: where each lies, and how large it truly is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Self

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS

from labeling.errors import SceneError
from labeling.grid import Block
from labeling.maps.lattice import smooth
from labeling.results.areas import pixel_areas
from labeling.scenes.contract.scene import SceneInfo

SQUARE_CM: Final = 10_000
"""To a square metre. Areas are whole square centimetres: their sums do not depend on their order, and all of
Earth has 5.1e18 of them, which an int64 holds."""

_AREA_TOLERANCE: Final = 1e-6
"""Share of a pixel's area by which it may be off where it is interpolated."""


class MapGrid(NamedTuple):
    """A grid of pixels with a place on Earth; small, and pickled with tasks."""

    crs: str
    """WKT."""
    transform: tuple[float, ...]
    """Affine a, b, c, d, e, f: from (column, row) to coordinates."""
    height: int
    width: int

    @classmethod
    def of(cls, info: SceneInfo) -> Self:
        """Return the grid of a scene; SceneError where the scene does not say where it lies."""
        if info.crs is None or info.transform is None:
            raise SceneError(
                f"{info.where} does not say where on Earth it lies, so it has no place in a product. Give it "
                "a georeference, label it again, or leave it out (--scenes)."
            )
        return cls(info.crs, tuple(info.transform), info.height, info.width)

    @classmethod
    def loads(cls, values: Sequence[Any]) -> Self:
        """Return a grid that went through JSON, as a list."""
        crs, transform, height, width = values
        return cls(crs, tuple(transform), height, width)

    @property
    def affine(self) -> Affine:
        """The transform from (column, row) to coordinates."""
        return Affine(*self.transform)

    @property
    def whole(self) -> Block:
        """All of it."""
        return Block(0, 0, self.height, self.width)

    def areas(self, block: Block) -> NDArray[np.int64]:
        """Return the true areas of a block's pixels, on the ellipsoid: square centimetres, (height, width).

        What lies off Earth has none, which is all of it where the CRS has no relation to Earth.
        """
        logarithms = smooth(self._log_areas, block, _AREA_TOLERANCE)[0]
        found = np.exp(logarithms)
        return np.asarray(np.rint(np.nan_to_num(found) * SQUARE_CM), np.int64)

    def _log_areas(self, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return logarithms of areas in square metres (1, n) around places; NaN off Earth.

        As logarithms they can be interpolated within a share of themselves, wherever Mercator stretches them.
        """
        found = pixel_areas(CRS.from_wkt(self.crs), self.affine, rows, columns)
        if found is None:
            return np.full((1, rows.size), np.nan)
        return np.asarray(np.log(np.where(found > 0, found, np.nan)))[None]
