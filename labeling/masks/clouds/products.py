"""Clouds as a product's own processor saw them, on cells: MSK_CLASSI of L1C, scene classification of L2A.

Their quality over sea ice is unproven: leads pass for cloud shadow, and bright ice for cloud.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from labeling.classes import IGNORE
from labeling.errors import SceneError
from labeling.grid import Block
from labeling.masks.clouds.cells import CellGrid, CellSums, cell_sums
from labeling.scenes.contract.product import Product


class CloudClass(IntEnum):
    """What the sky over a cell is (u8). The larger code wins where sources differ."""

    CLEAR = 0
    SHADOW = 1
    CIRRUS = 2
    OPAQUE = 3
    """Opaque in a product's mask, or any cloud that s2cloudless flags: it does not tell kinds apart."""

    @property
    def title(self) -> str:
        """Name for legends and tables."""
        return _TITLES[self]


_TITLES: Final = {
    CloudClass.CLEAR: "clear",
    CloudClass.SHADOW: "cloud shadow",
    CloudClass.CIRRUS: "cirrus",
    CloudClass.OPAQUE: "cloud",
}

MaskLayer = Literal["SCL", "MSK_CLASSI_B00"]

MASK_LAYERS: Final[tuple[MaskLayer, ...]] = ("SCL", "MSK_CLASSI_B00")
"""Layers of `Product.read_layer` that show cloud, the better one first."""

SCL_CODES: Final = {CloudClass.SHADOW: (3,), CloudClass.CIRRUS: (10,), CloudClass.OPAQUE: (8, 9)}
"""Scene classification: 3 cloud shadow, 8 and 9 cloud of medium and high probability, 10 thin cirrus."""

CLASSI_LAYERS: Final = {CloudClass.OPAQUE: 0, CloudClass.CIRRUS: 1}
"""Layers of MSK_CLASSI; the third is snow. It has no shadow."""


def find_mask(product: Product) -> MaskLayer:
    """Return the cloud mask that a product has; SceneError when it has none.

    L2A products have both. Theirs is the scene classification: it is newer, finer and knows shadow.
    """
    for layer in MASK_LAYERS:
        if product.read_layer(layer, Block(0, 0, 1, 1)) is not None:
            return layer
    raise SceneError(
        f"{product.facts.product_id} has no cloud mask of its own: looked for SCL (L2A) and MSK_CLASSI_B00 "
        "(L1C). Leave 'product' out of clouds.sources, or fetch the product with its QI_DATA folder."
    )


def product_cells(
    codes: NDArray[np.uint8],
    layer: MaskLayer,
    block: Block,
    grid: CellGrid,
    valid: NDArray[np.bool_] | None = None,
) -> dict[CloudClass, CellSums]:
    """Add a block of a product's mask to cells: the area of each class that the mask knows.

    `codes` is what `Product.read_layer` returns for `block` of 10 m pixels, u8 (layers, height, width).
    Scene classification says itself where it has no data. For MSK_CLASSI `valid` (height, width) may say it;
    without, such places pass for clear.
    Merge the windows of each class and take their mean: that is its share of the observed area.
    """
    if layer == "SCL":
        observed = codes[0] != 0
        members = {kind: np.isin(codes[0], found) for kind, found in SCL_CODES.items()}
    else:
        observed = np.ones(codes.shape[1:], np.bool_) if valid is None else valid
        members = {kind: codes[index] != 0 for kind, index in CLASSI_LAYERS.items()}
    return {kind: cell_sums(member, observed, block, 1, grid) for kind, member in members.items()}


def share_classes(
    shares: Mapping[CloudClass, NDArray[np.float32]], chosen: Iterable[CloudClass], least: float
) -> NDArray[np.uint8]:
    """Return the CloudClass of each cell from the shares of classes, u8 (rows, columns); IGNORE for no data.

    Where the `chosen` classes together hold at least `least` of a cell's observed area, it is of the one
    that holds most; of equals the larger code wins. Elsewhere it is clear.
    """
    known = np.logical_or.reduce([np.isfinite(share) for share in shares.values()])
    # The largest code first: of equals, argmax takes the first.
    kinds = sorted(set(chosen) & set(shares), reverse=True)
    classes = np.where(known, np.uint8(CloudClass.CLEAR), np.uint8(IGNORE))
    if kinds:
        parts = np.stack([shares[kind] for kind in kinds])
        covered = known & (parts.sum(axis=0) >= np.float32(least))
        classes[covered] = np.array(kinds, np.uint8)[parts.argmax(axis=0)][covered]
    return classes
