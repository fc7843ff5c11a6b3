"""Sums over a scene's windows."""

import json

import numpy as np

from labeling.ice.scene_sums import SceneSums
from labeling.ice.shadow_cells import NUMBERS


def test_sums_travel_as_a_list():
    cells = np.arange(3 * NUMBERS).reshape(3, NUMBERS)
    sums = SceneSums(np.arange(256), cells)
    for given in (sums, SceneSums.none()):
        again = SceneSums.loads(json.loads(json.dumps((given + SceneSums.none()).dumps())))
        for one, other in zip(given, again, strict=True):
            np.testing.assert_array_equal(one, other)


def test_sums_add_up_and_keep_the_rows_of_both():
    cells = np.ones((2, NUMBERS), np.int64)
    total = SceneSums(np.arange(256), cells) + SceneSums(np.ones(256, np.int64), 2 * cells)
    np.testing.assert_array_equal(total.keys, np.arange(1, 257))
    assert total.cells[:, 0].tolist() == [1, 1, 2, 2]
