"""The layers of codes of one product, from images or from GML: detectors, clouds, scene classification.

From baseline 04.00 masks are images. Before, they are polygons: MSK_DETFOO_Bxx.gml, and MSK_CLOUDS_B00.gml in
the place of MSK_CLASSI_B00.jp2. Polygons are burnt in strips of the granule's whole width, the blocks of a
raster like any other.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from labeling.bands import Band
from labeling.errors import SceneError
from labeling.grid import Block
from labeling.scenes.contract.product import GRID
from labeling.scenes.products.safe.blocks import BlockRaster
from labeling.scenes.products.safe.files import ProductFiles
from labeling.scenes.products.safe.gml import MaskPolygon, Outline, burn, outline, parse_mask
from labeling.scenes.products.safe.images import Images
from labeling.scenes.products.safe.metadata import SafeMetadata

_PICTURES: Final = ("TCI", "SCL")
_CLASSES: Final = "MSK_CLASSI_B00"
_CLOUDS: Final = "MSK_CLOUDS_B00"
_CLASS_KINDS: Final = ("OPAQUE", "CIRRUS", "SNOW")
"""Layers of MSK_CLASSI_B00; MSK_CLOUDS_B00 knows the first two."""

_DETECTORS: Final = "MSK_DETFOO_"
_FOOTPRINTS: Final = frozenset(_DETECTORS + band for band in Band)
_DETECTOR: Final = re.compile(r"detector_footprint-B\d[\dA]-(?P<number>\d\d)-\d+")

_STRIP_ROWS: Final = 256
"""3 MB of a layer of 10 m pixels."""


class Masks:
    """Each layer is found, and its GML parsed, when first asked for."""

    def __init__(self, files: ProductFiles, metadata: SafeMetadata, images: Images) -> None:
        self._files = files
        self._metadata = metadata
        self._images = images
        self._found: dict[str, BlockRaster | None] = {}

    def footprint(self, band: Band) -> BlockRaster | None:
        """Return the number of the detector that saw each native pixel of a band; 0 for none, 1 layer, u8.

        None where the product has no such mask, or a GML without polygons. Some real products have nothing
        but the head of one; taken at its word, a whole band that was seen would be no-data.
        """
        return self.layer(_DETECTORS + band)

    def layer(self, layer: str) -> BlockRaster | None:
        """Return a layer by name, u8: see `Product.read_layer`; None where the product has no such layer.

        Raises SceneError when its file is damaged.
        """
        if layer not in self._found:
            self._found[layer] = self._find(layer)
        return self._found[layer]

    def _find(self, layer: str) -> BlockRaster | None:
        metres = Band(layer.removeprefix(_DETECTORS)).resolution if layer in _FOOTPRINTS else None
        name = self._files.images.get(layer) if layer in _PICTURES else self._files.masks.get(layer)
        if name is not None and name.endswith(".jp2"):
            return self._images.raster(name, "uint8", metres)
        if name is not None and metres is not None:
            return self._detectors(name, metres)
        clouds = self._files.masks.get(_CLOUDS)
        return self._clouds(clouds) if layer == _CLASSES and clouds is not None else None

    def _detectors(self, name: str, metres: int) -> BlockRaster | None:
        """Return footprints from GML; where two detectors saw a pixel, the one of the higher number."""
        numbered = [(self._number(one, name), one) for one in self._parse(name)]
        if not numbered:
            return None
        numbered.sort(key=lambda pair: pair[0])
        grid = self._metadata.transform @ Affine.scale(metres // GRID)
        return self._burnt(name, metres, [[outline(one, number, grid) for number, one in numbered]])

    def _clouds(self, name: str) -> BlockRaster:
        found = self._parse(name)
        grid = self._metadata.transform
        layers = [[outline(one, 1, grid) for one in found if one.kind == kind] for kind in _CLASS_KINDS]
        return self._burnt(name, GRID, layers)

    def _burnt(self, name: str, metres: int, layers: list[list[Outline]]) -> BlockRaster:
        def make(strip: Block) -> NDArray[np.uint8]:
            return np.stack([burn(outlines, strip) for outlines in layers])

        height, width = (side * GRID // metres for side in (self._metadata.height, self._metadata.width))
        return BlockRaster(name, len(layers), "uint8", metres, height, width, _STRIP_ROWS, width, make)

    def _parse(self, name: str) -> list[MaskPolygon]:
        return parse_mask(self._files.read_xml(name), where=f"{name} of {self._files.uri}")

    def _number(self, polygon: MaskPolygon, name: str) -> int:
        found = _DETECTOR.fullmatch(polygon.feature)
        if found is None or int(found["number"]) == 0:
            raise SceneError(
                f"{name} of {self._files.uri} cannot be used: the id '{polygon.feature}' names no "
                "detector, as detector_footprint-B02-05-0 does. Fetch the product again."
            )
        return int(found["number"])
