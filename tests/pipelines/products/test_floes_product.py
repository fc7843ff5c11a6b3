"""Floes of a run: those that were drawn, told where they cannot be found, made again where they changed."""

import json

import numpy as np
import pyarrow.parquet as pq
import pyogrio
import pytest
import shapely
from rasterio.crs import CRS
from run_factory import RunFactory
from scipy import ndimage

import pipelines.products.floes as product
from pipelines.engine.outcome import ExitCode
from pipelines.products.config import ProductsConfig
from pipelines.products.job import run

pytestmark = pytest.mark.slow

SHAPE = (150, 180)


def pack(seed, shape=SHAPE):
    """Discs of known radii that lie apart, in leads of thin ice and water, beside open sea and no-data."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    classes = np.where(ndimage.gaussian_filter(rng.normal(size=shape), 5) > 0, 1, 0).astype(np.uint8)
    classes[:, 150:] = 0
    discs = {}
    for row in range(16, shape[0] - 16, 28):
        for column in range(16, 140, 28):
            radius = rng.uniform(6, 12.9)
            inside = np.hypot(rows - row, columns - column) <= radius
            classes[inside] = 2
            discs[row, column] = int(np.count_nonzero(inside))
    classes[:2, 100:] = 255
    return classes, discs


@pytest.fixture
def made(tmp_path):
    factory = RunFactory(tmp_path)
    for seed, name in enumerate(("first", "second", "third")):
        classes, _ = pack(seed)
        factory.add(name, classes, classes)
    return factory


def products(made_run, cores=2, **options):
    options = {"products": ["floes"], "spark": {"master": f"local[{cores}]"}} | options
    return run(ProductsConfig(run=made_run.root, **options))


def table(made_run, name):
    return pq.read_table(made_run.product("floes") / f"{name}.parquet").to_pylist()


def outlines(made_run):
    file = made_run.product("floes") / "floes.gpkg"
    meta, _, shapes, values = pyogrio.raw.read(file, layer="floes_epsg_3031")
    rows = [dict(zip(meta["fields"], each, strict=True)) for each in zip(*values, strict=True)]
    return [row | {"shape": shapely.from_wkb(shape)} for row, shape in zip(rows, shapes, strict=True)]


def test_floes_are_those_that_were_drawn(made):
    run_folder = made.write()
    assert products(run_folder) == (3, ())
    found = outlines(run_folder)
    for seed, name in enumerate(("first", "second", "third")):
        _, discs = pack(seed)
        mine = [row for row in found if row["scene_id"] == name]
        assert sorted(row["pixels"] for row in mine) == sorted(discs.values())
        for row in mine:
            # In coordinates a pixel is 100 square metres; at the pole EPSG:3031 draws it smaller than it is.
            assert row["shape"].area == row["pixels"] * 100
            assert 1.0 < row["area_m2"] / row["shape"].area < 1.06
            middle = row["shape"].centroid
            at = round(-middle.y / 10 - 0.5), round(middle.x / 10 - 0.5)
            assert discs[at] == row["pixels"]
        [scene] = [row for row in table(run_folder, "scenes") if row["scene_id"] == name]
        assert scene["floes"] == len(discs)
        assert scene["floe_area_m2"] == pytest.approx(sum(row["area_m2"] for row in mine))
        assert scene["cut_floes"] == scene["small_floes"] == 0
        sizes = [row for row in table(run_folder, "sizes") if row["scene_id"] == name]
        assert sum(row["floes"] for row in sizes) == len(discs)
        assert [row["floes"] for row in sizes if row["from_m"] in (20, 2000, 10_000)] == [0, 0, 0]


def test_leads_are_the_openings_within_the_pack(made):
    run_folder = made.write()
    products(run_folder)
    for seed, name in enumerate(("first", "second", "third")):
        classes, _ = pack(seed)
        [scene] = [row for row in table(run_folder, "scenes") if row["scene_id"] == name]
        leads = [row for row in table(run_folder, "leads") if row["scene_id"] == name]
        assert scene["lead_area_m2"] == pytest.approx(sum(row["area_m2"] for row in leads))
        pixel = scene["known_area_m2"] / np.count_nonzero(classes != 255)
        assert 100 < pixel < 106
        # Beyond the border all counts as open, so a circle of 2 km reaches into some of the pack from there.
        opened = np.count_nonzero(classes[:, :150] <= 1) * pixel
        assert 0 < scene["lead_area_m2"] < opened
        assert scene["lead_fraction"] == pytest.approx(scene["lead_area_m2"] / scene["known_area_m2"])


def test_a_channel_is_a_lead_of_its_width(tmp_path):
    classes = np.full((120, 120), 2, np.uint8)
    classes[:, 50:57] = 0  # 70 m
    classes[:, 90:105] = 1  # 150 m
    factory = RunFactory(tmp_path)
    factory.add("channels", classes, classes)
    run_folder = factory.write()
    products(run_folder, floes={"lead_widths": [10, 50, 100, 300]})
    areas = {row["below_m"]: row["area_m2"] for row in table(run_folder, "leads")}
    assert areas.pop(10) is None  # pixels are as wide
    pixel = 103  # square metres there, within some
    assert areas[50] == pytest.approx(0, abs=300 * pixel)
    # Where a channel leaves the map, its end belongs to the wider open beyond.
    assert 0.8 * 120 * 7 * pixel < areas[100] < 1.1 * 120 * 7 * pixel
    assert 0.8 * 120 * 15 * pixel < areas[300] < 1.3 * 120 * 15 * pixel


@pytest.mark.parametrize("cores", [1, 3])
def test_results_do_not_depend_on_workers_or_memory(made, cores, monkeypatch):
    run_folder = made.write()
    products(run_folder)
    folder = run_folder.product("floes")
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".json"}
    assert len(before) == 7
    for path in (run_folder.products).rglob("done.json"):
        path.unlink()
    # As if a map took more than a worker has: then fewer are made at a time.
    monkeypatch.setattr(product, "BYTES", (600 << 20) // (SHAPE[0] * SHAPE[1]))
    spark = {"master": f"local[{cores}]", "worker_memory": (1000 if cores == 1 else 900) << 20}
    assert products(run_folder, spark=spark) == (3, ())
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".json"} == before


def test_a_map_that_no_memory_holds_is_told_and_the_rest_is_made(made, monkeypatch):
    classes, _ = pack(9, (300, 180))
    made.add("large", classes, classes)
    run_folder = made.write()
    monkeypatch.setattr(product, "BYTES", (800 << 20) // (SHAPE[0] * SHAPE[1]))
    outcome = products(run_folder, spark={"master": "local[1]", "worker_memory": 1300 << 20})
    assert outcome.exit_code == ExitCode.SOME_FAILED
    assert [failure.scene for failure in outcome.failures] == ["large"]
    assert "spark.worker_memory" in outcome.failures[0].reason
    assert {row["scene_id"] for row in table(run_folder, "scenes")} == {"first", "second", "third"}


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        ({"crs": None, "transform": None}, "does not say where on Earth it lies"),
        ({"crs": 'LOCAL_CS["deck",UNIT["metre",1]]'}, "no relation to it"),
        ({"crs": "EPSG:4326", "transform": [1e-4, 0, 170, 0, -1e-4, -75]}, "as long one way"),
        ({"transform": [0.01, 0, 0, 0, -0.01, 0]}, "floes.lead_widths"),
    ],
)
def test_a_scene_whose_floes_have_no_size_is_told_and_the_rest_is_made(made, grid, said):
    row = made._rows[1]
    if str(grid.get("crs")).startswith("EPSG"):
        grid = grid | {"crs": CRS.from_string(grid["crs"]).to_wkt()}
    made._rows[1] = row._replace(info=row.info._replace(**grid))
    run_folder = made.write()
    outcome = products(run_folder)
    assert [failure.scene for failure in outcome.failures] == ["second"]
    assert said in outcome.failures[0].reason
    assert "\n" not in outcome.failures[0].reason
    assert {each["scene_id"] for each in table(run_folder, "scenes")} == {"first", "third"}
    told = [json.loads(line) for line in run_folder.failures.read_text().splitlines()]
    assert [line["scene"] for line in told] == ["second"]
    assert not list(run_folder.products.rglob(".*part*"))


def test_a_setting_that_changes_makes_floes_again(made):
    run_folder = made.write()
    products(run_folder)
    count = sum(row["floes"] for row in table(run_folder, "scenes"))
    before = (run_folder.product("floes") / "done.json").stat().st_mtime_ns
    products(run_folder)
    assert (run_folder.product("floes") / "done.json").stat().st_mtime_ns == before
    products(run_folder, floes={"least": 300})
    assert sum(row["floes"] for row in table(run_folder, "scenes")) < count
    assert sum(row["small_floes"] for row in table(run_folder, "scenes")) > 0


@pytest.mark.parametrize("bad", [{"bins": [5, 5]}, {"lead_widths": [0, 3]}, {"ice": []}, {"neck": 1.1}])
def test_settings_that_make_no_sense_are_refused(bad):
    with pytest.raises(ValueError, match="floes"):
        ProductsConfig(run="x", floes=bad)
