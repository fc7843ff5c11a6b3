"""A product's own masks on cells: codes, shares, the rule, and what is missing."""

from types import SimpleNamespace

import numpy as np
import pytest

from labeling.classes import IGNORE
from labeling.errors import SceneError
from labeling.grid import Block, blocks
from labeling.masks.clouds.cells import CellGrid, mean, merge
from labeling.masks.clouds.products import CloudClass, find_mask, product_cells, share_classes

SHADOW, CIRRUS, OPAQUE = CloudClass.SHADOW, CloudClass.CIRRUS, CloudClass.OPAQUE


class MaskedProduct:
    """A product that has only masks: layers by name, (layers, height, width)."""

    facts = SimpleNamespace(product_id="S2X_TEST", product_type="L1C")
    bands = ()

    def __init__(self, **layers):
        self.layers = layers

    def read_layer(self, layer, block):
        return self.layers[layer][:, *block.slices] if layer in self.layers else None


def shares_of(codes, layer, grid, valid=None):
    height, width = codes.shape[1:]
    return {
        kind: mean(sums)
        for kind, sums in product_cells(codes, layer, Block(0, 0, height, width), grid, valid).items()
    }


def test_every_code_of_scene_classification_is_what_the_specification_calls_it():
    codes = np.arange(12, dtype=np.uint8)[None, None]
    shares = shares_of(codes, "SCL", CellGrid(1, 12, 1))
    classes = share_classes(shares, CloudClass, 0.5)[0]
    assert classes[0] == IGNORE
    assert dict(enumerate(classes.tolist()[1:], 1)) == dict.fromkeys(range(1, 12), CloudClass.CLEAR) | {
        3: SHADOW, 8: OPAQUE, 9: OPAQUE, 10: CIRRUS,
    }  # fmt: skip


def test_classi_has_opaque_cirrus_and_snow_but_no_shadow():
    codes = np.eye(3, dtype=np.uint8)[:, None]
    shares = shares_of(codes, "MSK_CLASSI_B00", CellGrid(1, 3, 1))
    assert SHADOW not in shares
    np.testing.assert_array_equal(
        share_classes(shares, CloudClass, 0.5), [[OPAQUE, CIRRUS, CloudClass.CLEAR]]
    )


def test_no_data_of_classi_is_what_the_caller_says():
    codes = np.zeros((3, 2, 2), np.uint8)
    codes[0, 0, 0] = 1
    valid = np.array([[1, 1], [0, 0]], bool)
    shares = shares_of(codes, "MSK_CLASSI_B00", CellGrid(2, 2, 2), valid)
    assert shares[OPAQUE] == 0.5
    none = shares_of(codes, "MSK_CLASSI_B00", CellGrid(2, 2, 2), np.zeros((2, 2), bool))
    assert share_classes(none, CloudClass, 0.5) == IGNORE


@pytest.mark.parametrize("layer", ["SCL", "MSK_CLASSI_B00"])
def test_shares_do_not_depend_on_the_cut(layer):
    rng = np.random.default_rng(5)
    codes = rng.integers(0, 12 if layer == "SCL" else 2, (3, 50, 70)).astype(np.uint8)
    grid = CellGrid(50, 70, 16)
    whole = product_cells(codes, layer, Block(0, 0, 50, 70), grid)
    parts = [
        product_cells(codes[:, *block.slices], layer, block, grid)
        for block in blocks(height=50, width=70, size=13)
    ]
    for kind, sums in whole.items():
        merged = merge([part[kind] for part in reversed(parts)], grid)
        np.testing.assert_array_equal(merged.total, sums.total)
        np.testing.assert_array_equal(merged.area, sums.area)


@pytest.mark.parametrize(
    ("shadow", "cirrus", "opaque", "chosen", "expected"),
    [
        (0.0, 0.0, 0.5, (OPAQUE,), OPAQUE),
        (0.0, 0.0, 0.49, (OPAQUE,), CloudClass.CLEAR),
        (0.0, 0.3, 0.2, (OPAQUE, CIRRUS), CIRRUS),  # half together, and more of it cirrus
        (0.0, 0.25, 0.25, (CIRRUS, OPAQUE), OPAQUE),  # of equals the larger code
        (0.9, 0.0, 0.1, (OPAQUE, CIRRUS), CloudClass.CLEAR),  # shadow does not count here
        (0.9, 0.0, 0.1, (SHADOW,), SHADOW),
        (1.0, 0.0, 0.0, (), CloudClass.CLEAR),
    ],
)
def test_the_rule_of_shares(shadow, cirrus, opaque, chosen, expected):
    shares = {
        kind: np.array([[value]], np.float32)
        for kind, value in ((SHADOW, shadow), (CIRRUS, cirrus), (OPAQUE, opaque))
    }
    assert share_classes(shares, chosen, 0.5) == expected


def test_l2a_products_have_both_masks_and_theirs_is_scene_classification():
    one = np.zeros((3, 4, 4), np.uint8)
    assert find_mask(MaskedProduct(MSK_CLASSI_B00=one)) == "MSK_CLASSI_B00"
    assert find_mask(MaskedProduct(MSK_CLASSI_B00=one, SCL=one[:1])) == "SCL"


def test_a_product_without_masks_is_told_so():
    with pytest.raises(SceneError, match=r"S2X_TEST has no cloud mask.*SCL.*MSK_CLASSI_B00.*clouds\.sources"):
        find_mask(MaskedProduct())
