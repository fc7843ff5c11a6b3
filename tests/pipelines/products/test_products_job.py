"""The frame of products: what they are made of, what is refused, and what a rerun makes again."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from run_factory import PIXEL_AREA, RunFactory

from labeling.errors import ConfigError
from pipelines.engine.outcome import ExitCode
from pipelines.products.config import ProductsConfig
from pipelines.products.job import run

pytestmark = pytest.mark.slow


@pytest.fixture
def made(tmp_path):
    factory = RunFactory(tmp_path)
    rng = np.random.default_rng(3)
    for name in ("first", "second"):
        classes = rng.choice(np.array([0, 1, 2, 255], np.uint8), (80, 120))
        factory.add(name, classes, classes)
    return factory.write()


def products(made, *names, **options):
    options = {"products": list(names) or ["statistics"], "spark": {"master": "local[2]"}} | options
    return run(ProductsConfig(run=made.root, **options))


def table(made):
    return pq.read_table(made.product("statistics") / "scenes.parquet").to_pylist()


def test_a_rerun_makes_what_changed_and_no_more(made):
    assert products(made) == (2, ())
    parts = made.product_parts("statistics")
    before = {path: path.stat().st_mtime_ns for path in made.products.rglob("done.json")}
    assert len(before) == 3
    assert products(made) == (2, ())
    assert {path: path.stat().st_mtime_ns for path in made.products.rglob("done.json")} == before
    assert products(made, scenes=["sec*"]) == (1, ())
    assert [row["scene_id"] for row in table(made)] == ["second"]
    after = {path: path.stat().st_mtime_ns for path in made.products.rglob("done.json")}
    kept = parts / "second" / "done.json"
    assert after[kept] == before[kept]
    assert not (parts / "first").exists()


def test_a_map_that_was_changed_is_left_out_and_told(made):
    path = made.maps("first") / "classes.tif"
    path.write_bytes(path.read_bytes()[:-7])
    outcome = products(made)
    assert outcome.exit_code == ExitCode.SOME_FAILED
    assert [failure.scene for failure in outcome.failures] == ["first"]
    assert "is not the file that was finished" in outcome.failures[0].reason
    assert [row["scene_id"] for row in table(made)] == ["second"]
    told = [json.loads(line) for line in made.failures.read_text().splitlines()]
    assert [line["scene"] for line in told] == ["first"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"scenes": ["third"]}, "no scene of the run is called third"),
        ({"since": "2019-01-01"}, "none of 2 scene"),
        ({"rendering": "tci-l1c"}, r"no maps .* rendering tci-l1c.* rgb8 \(2\)"),
    ],
)
def test_a_choice_of_nothing_is_refused(made, options, said):
    with pytest.raises(ConfigError, match=said):
        products(made, **options)
    assert not made.products.exists()


def test_a_run_without_maps_is_refused(made):
    for folder in (made.root / "maps").iterdir():
        (folder / "done.json").unlink()
    with pytest.raises(ConfigError, match=r"no finished maps in .*jobs\.infer"):
        products(made)
    assert products(made, of="labels") == (2, ())


def test_scene_sums_are_those_of_the_pixels(made):
    products(made)
    rng = np.random.default_rng(3)
    for row in table(made):
        classes = rng.choice(np.array([0, 1, 2, 255], np.uint8), (80, 120))
        counts = [np.count_nonzero(classes == code) for code in (0, 1, 2, 255)]
        names = ("water", "thin_ice", "thick_ice", "unclassified")
        assert [row[f"{name}_pixels"] for name in names] == counts
        # At the South Pole, where EPSG:3031 has a true scale only at 71 S, a square is smaller than its name.
        scale = np.array([row[f"{name}_m2"] for name in names]) / (np.array(counts) * PIXEL_AREA)
        assert np.ptp(scale) < 1e-4
        assert 1.0 < scale[0] < 1.06
        assert row["cloud_m2"] is None
