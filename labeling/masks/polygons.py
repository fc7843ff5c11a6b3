"""Polygons of a vector file on a scene's grid: all of them together, as land, or each by itself.

Land and ice shelf are one shape. Polygons that somebody wants to know something of may overlap, and one may
have many parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import cv2
import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS

from labeling.grid import Block
from labeling.masks.bounded import bounded
from labeling.masks.inside import PixelPlaces, fill
from labeling.masks.layers import Features, VectorLayer, polygons_of, read_features


def land_mask(
    layer: VectorLayer, *, crs: CRS, transform: Affine, height: int, width: int, grow: int = 0
) -> NDArray[np.bool_]:
    """Return which pixels of a scene have their centre on land or ice shelf, bool (height, width).

    `crs` and `transform` (column, row to coordinates) are the scene's; land grows by `grow` pixels on every
    side. All False where no polygon is near. Raises SceneError where the scene's CRS has no place on Earth,
    and ConfigError where the two CRS cannot be related.
    """
    margin = grow  # land just outside the scene grows into it
    mask = np.zeros((height + 2 * margin, width + 2 * margin), np.bool_)
    grid = PixelPlaces(layer, crs, transform @ Affine.translation(-margin, -margin))
    box = grid.box(*mask.shape)
    land = bounded(
        partial(_read_land, layer, box, grid.turns),
        f"layer '{layer.name}' of the {layer.role.what} {layer.path}",
    )
    fill(mask, land, grid)
    if margin:
        square = np.ones((2 * margin + 1, 2 * margin + 1), np.uint8)
        cv2.dilate(mask.view(np.uint8), square, dst=mask.view(np.uint8))
    return mask[margin : margin + height, margin : margin + width]


def _read_land(layer: VectorLayer, box: shapely.Geometry, turns: tuple[float, ...]) -> shapely.Geometry:
    """Return all land in a box as one shape; it may be drawn any of the `turns` away."""
    return shapely.union_all(_read_near(layer, box, turns).shapes)


def _read_near(layer: VectorLayer, box: shapely.Geometry, turns: tuple[float, ...]) -> Features:
    """Return what of a layer's polygons lies in a box; they may be drawn any of the `turns` away."""
    found = []
    for turn in turns:
        bounds = tuple(np.add(box.bounds, (turn, 0.0, turn, 0.0)))
        read = read_features(layer, bounds)
        here = shapely.transform(read.shapes, lambda places, turn=turn: places - (turn, 0.0))
        shapes, of = polygons_of(shapely.intersection(here, box))
        found.append(Features(shapes, read.ids[of]))
    return Features(*(np.concatenate(each) for each in zip(*found, strict=True)))


class Zones:
    """The polygons of a layer on a grid, each feature a zone; zones may overlap."""

    def __init__(self, layer: VectorLayer, *, crs: CRS, transform: Affine, height: int, width: int) -> None:
        """Raises as `land_mask`."""
        self._grid = PixelPlaces(layer, crs, transform)
        read = partial(_read_zones, layer, self._grid.box(height, width), self._grid.turns)
        self.ids, shapes = bounded(read, f"layer '{layer.name}' of the {layer.role.what} {layer.path}")
        """Features near the grid, as OGR counts, in order."""
        self._tree = shapely.STRtree(shapes)

    def masks(self, block: Block) -> Iterator[tuple[int, NDArray[np.bool_]]]:
        """Yield the index in `ids` of each zone near a block, and which pixels have their centre in it.

        Masks are bool (height, width); pixels whose centre is on a border are in it.
        """
        grid = self._grid.from_pixel(block.row, block.column)
        for index in sorted(self._tree.query(grid.box(block.height, block.width)).tolist()):
            mask = np.zeros((block.height, block.width), np.bool_)
            fill(mask, self._tree.geometries[index], grid)
            yield index, mask


def _read_zones(
    layer: VectorLayer, box: shapely.Geometry, turns: tuple[float, ...]
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Return the features in a box, by id, and the shape of each."""
    found = _read_near(layer, box, turns)
    ids = np.unique(found.ids)
    return ids, np.array([shapely.union_all(found.shapes[found.ids == each]) for each in ids], object)
