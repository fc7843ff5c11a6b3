"""Sentinel-2 products as scenes: true colour from reflectance, in a named rendering."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from labeling.bands import BLUE, GREEN, RED
from labeling.grid import Block
from labeling.products.safe import SafeProduct, open_product
from labeling.rendering import find_rendering, render, renderings_of
from labeling.scene_info import Pixels, SceneInfo

_NAME: Final = re.compile(r"S2[A-D]_.*\.(SAFE|SAFE\.zip|zip)", re.IGNORECASE)


def is_product(path: Path) -> bool:
    """Tell from its name whether a file or folder is a Sentinel-2 product."""
    return _NAME.fullmatch(path.name) is not None


@contextmanager
def open_product_scene(path: Path, rendering: str | None) -> Iterator[ProductScene]:
    """Open a product in a rendering (None: the scale of its own true-colour image)."""
    with open_product(str(path)) as product:
        yield ProductScene(path, product, rendering)


class ProductScene:
    """A product's red, green and blue as an 8-bit picture on its 10 m grid."""

    def __init__(self, path: Path, product: SafeProduct, rendering: str | None) -> None:
        self._path = path
        self._product = product
        self._renderings = renderings_of(product.metadata.product_type)
        self._rendering = rendering or self._renderings[0]

    @cached_property
    def info(self) -> SceneInfo:
        """The product's description; its group is the acquisition, which neighbouring granules share."""
        facts = self._product.metadata
        files = [self._path] if self._path.is_file() else [f for f in self._path.rglob("*") if f.is_file()]
        status = [file.stat() for file in files]
        return SceneInfo(
            uri=str(self._path),
            group=facts.acquisition,
            renderings=self._renderings,
            height=facts.height,
            width=facts.width,
            crs=facts.crs.to_wkt(),
            transform=list(facts.transform)[:6],
            windowed=True,
            bytes=sum(one.st_size for one in status),
            modified_ns=max(one.st_mtime_ns for one in status),
        )

    def read(self, block: Block) -> Pixels:
        """Read and render a window; pixels without data are (0, 0, 0) and not valid."""
        found = self._product.read(block, (RED, GREEN, BLUE))
        return Pixels(render(found.values, found.valid, find_rendering(self._rendering)), found.valid)

    def preview(self, *, height: int, width: int) -> NDArray[np.uint8]:
        """Return the scene reduced to (height, width, 3), u8; reads all of it."""
        facts = self._product.metadata
        rgb, _ = self.read(Block(0, 0, facts.height, facts.width))
        picture = cv2.resize(rgb.transpose(1, 2, 0), (width, height), interpolation=cv2.INTER_AREA)
        return np.asarray(picture, np.uint8)
