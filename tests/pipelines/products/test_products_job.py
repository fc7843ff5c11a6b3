"""The frame of products: what they are made of, what is refused, and what a rerun makes again."""

import json
import pickle
import shutil
from typing import get_args

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
from affine import Affine
from conftest import ROOT
from map_factory import MapFactory
from products_here import products_here
from run_factory import PIXEL_AREA, RunFactory

from jobs.command import main_of
from jobs.products import main
from labeling.errors import ConfigError
from labeling.files.layout import read_done
from labeling.settings import load_settings
from pipelines.engine.outcome import ExitCode
from pipelines.products.config import ProductName, ProductsConfig
from pipelines.products.job import run
from pipelines.products.maps import MapFile, find_maps
from pipelines.products.registry import PRODUCTS

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


def command(made, *arguments):
    given = ["--run", made.root, "--master", "local[2]", *arguments]
    return main_of(lambda: main([str(argument) for argument in given]), "products")


def test_the_shipped_configuration_makes_all_that_is_registered(made, capsys):
    """Pictures that say no time: by the clearest, all of them together."""
    conf = ROOT / "jobs" / "conf" / "products.yaml"
    assert command(made, "--config", conf) == ExitCode.DONE
    shipped = load_settings(ProductsConfig, conf, {"run": made.root})
    assert shipped == ProductsConfig(run=made.root)
    assert set(PRODUCTS) == set(get_args(ProductName)) == {*shipped.products, "catalog"}
    for name in shipped.products:
        assert read_done(made.product(name)) is not None
        assert set(read_done(made.product(name))["outputs"]) == set(read_done(made.product(name))["files"])
    assert not list(made.root.rglob("*.part*"))
    assert json.loads(made.job("products").read_text())["summary"]["scenes_done"] == 2


def test_a_product_that_cannot_be_made_does_not_keep_others_from_it(made, capsys, tmp_path):
    conf = tmp_path / "wrong.yaml"
    conf.write_text("mosaic: {crs: EPSG:1}\nconcentration: {cell_km: 1}\n")
    assert command(made, "mosaic", "concentration", "--config", conf) == ExitCode.USAGE
    assert "mosaic: mosaic.crs is EPSG:1, which is no coordinate system" in capsys.readouterr().err
    assert not made.product("mosaic").exists()
    assert read_done(made.product("concentration")) is not None
    assert "products-mosaic" in made.failures.read_text()
    assert command(made, "mosaic", "concentration", "--rule", "most-common", "--cell-km", 2) == ExitCode.DONE
    assert not made.failures.exists()
    assert json.loads((made.product("mosaic") / "mosaic.json").read_text())["rule"] == "most-common"


def test_what_is_no_run_is_refused_and_not_made_one(tmp_path, capsys):
    assert main_of(lambda: main(["--run", str(tmp_path / "none")]), "products") == ExitCode.USAGE
    assert "is not a run folder" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
    assert main_of(lambda: main(["--run", str(tmp_path), "mosaics"]), "products") == ExitCode.USAGE
    assert "'statistics', 'concentration', 'mosaic'" in capsys.readouterr().err


def test_a_disk_that_fills_leaves_nothing_half_written(disk, tmp_path, capsys):
    factory = MapFactory(disk.root / "run")
    noise = np.random.default_rng(1).integers(0, 3, (1500, 1500)).astype(np.uint8)
    factory.add("a", noise, "EPSG:3031", Affine(10, 0, 0, 0, -10, 0))
    run = factory.write()
    assert command(run, "mosaic") == ExitCode.DONE
    before = {path: path.read_bytes() for path in run.product("mosaic").iterdir()}
    factory.add("b", noise[::-1], "EPSG:3031", Affine(10, 0, 5000, 0, -10, 0))
    factory.write()
    disk.fill(200 * 4096)
    assert command(run, "mosaic") in (ExitCode.SOME_FAILED, ExitCode.ERROR)
    assert "the disk is full" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in run.product("mosaic").iterdir()} == before
    assert not list(run.root.rglob("*.part*"))
    (disk.root / "filler").unlink()
    assert command(run, "mosaic") == ExitCode.DONE
    assert {path.name for path in run.product("mosaic").iterdir()} == {path.name for path in before}


def test_workers_and_a_retry_change_nothing(made, monkeypatch):
    """The same parts in this process, by two workers, and again after some were lost."""
    products_here(monkeypatch, made, "statistics", "mosaic", statistics={"cell_km": 0.5})
    monkeypatch.undo()
    first = contents(made)
    shutil.rmtree(made.products)
    options = {"statistics": {"cell_km": 0.5}}
    products(made, "statistics", "mosaic", **options)
    assert contents(made) == first
    for part in [*made.product_parts("statistics").iterdir()][:1] + [*made.product_parts("mosaic").iterdir()][
        :1
    ]:
        (part / "done.json").unlink()
    for name in ("statistics", "mosaic"):
        (made.product(name) / "done.json").unlink()
    products(made, "statistics", "mosaic", **options)
    assert contents(made) == first


def contents(made):
    tables = {path.name: path.read_bytes() for path in made.product("statistics").glob("*.csv")}
    for path in made.product("mosaic").glob("*.tif"):
        with rasterio.open(path) as raster:
            tables[path.name] = raster.read(1).tobytes()
    return tables


def test_maps_and_settings_reach_workers_by_pickle(made):
    config = ProductsConfig(run=made.root)
    for found in find_maps(made, config)[0]:
        assert MapFile.loads(found.dumps()) == found
        assert pickle.loads(pickle.dumps(found)) == found


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
