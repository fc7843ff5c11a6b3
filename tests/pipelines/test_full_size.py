"""A scene as wide as a Sentinel-2 tile, with threads and cut, against the whole-scene oracle."""

import numpy as np
import oracle
import pytest
from conftest import patchwork, planar
from pictures import read_labels, write_tif

import pipelines.label as label_job
from pipelines.config import LabelConfig

pytestmark = pytest.mark.slow

HEIGHT, WIDTH = 2745, 10980
"""A quarter of a tile: large enough to be cut and to get threads, and the oracle takes its time."""


def test_a_scene_as_wide_as_a_granule_gets_the_oracles_labels_with_threads_and_cut(tmp_path):
    rgb = patchwork(HEIGHT, WIDTH)
    expected = oracle.label_filtered(rgb)
    scene = write_tif(tmp_path / "granule.tif", planar(rgb), tiled=True, blockxsize=512, blockysize=512)
    del rgb
    for cut, block_size in {"auto": None, "always": 1500}.items():
        config = LabelConfig(
            scenes=[str(scene)], out=tmp_path / cut, profile="iqrah-2024", outputs=["labels"],
            cut=cut, block_size=block_size, spark={"master": "local[2]"},
        )  # fmt: skip
        assert label_job.run(config).failures == ()
        np.testing.assert_array_equal(read_labels(tmp_path / cut, "granule"), expected)
