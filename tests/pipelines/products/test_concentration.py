"""Concentration against truth drawn another way, by the conventions, and with the uncertainty of its maps."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyproj
import pytest
import xarray as xr
from affine import Affine
from map_factory import MapFactory
from products_here import products_here

import pipelines.products.grids.cell_block
from labeling.errors import ConfigError
from labeling.files.atomic import write_json
from labeling.maps.fractions import CellFlag
from labeling.status import PixelStatus
from pipelines.evaluation.record import Evaluation, SceneResult
from pipelines.evaluation.tally import Tally, accuracy_of, agreement_of

IGNORE = 255
TIME = "2019-11-03T20:10:00Z"
UTM = "EPSG:32701"


def field(x, y):
    """Return the true class at places in EASE-Grid 2.0 south, metres: water, thin and thick ice in waves."""
    wave = np.sin(x / 2300) + np.sin(y / 3100) + 0.8 * np.sin((x + 2 * y) / 700)
    return np.digitize(wave, [-0.4, 0.5]).astype(np.uint8)


def observed(crs, transform, shape):
    """Return the true classes of a grid's pixels."""
    columns, rows = np.meshgrid(np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5)
    x, y = pyproj.Transformer.from_crs(crs, "EPSG:6932", always_xy=True).transform(
        *(transform @ (columns, rows))
    )
    return field(np.asarray(x), np.asarray(y))


def dense(x, y, side):
    """Return the true shares of ice and thin ice of square cells around middles, by 200 x 200 points each."""
    steps = (np.arange(200) + 0.5) / 200 - 0.5
    u, v = np.meshgrid(x[:, None] + steps * side, y[:, None] + steps * side)
    classes = field(u, v).reshape(len(y), 200, len(x), 200)
    return [(classes != 0).mean(axis=(1, 3)), (classes == 1).mean(axis=(1, 3))]


@pytest.fixture
def maps(tmp_path):
    """Two maps of a day that overlap across 180 degrees, where UTM zones meet, and one of another day."""
    factory = MapFactory(tmp_path / "run")
    for name, crs, east, time in (
        ("west", "EPSG:32760", 640_000, TIME), ("east", UTM, 306_000, "2019-11-03T20:20:00Z"),
        ("later", UTM, 310_000, "2019-11-05T20:20:00Z"),
    ):  # fmt: skip
        transform = Affine(40, 0, east, 0, -40, 1_560_000)
        classes = observed(crs, transform, (700, 800))
        if name == "east":
            classes[:, :60] = IGNORE
        factory.add(name, classes, crs, transform, time=time)
    return factory.write()


def opened(run):
    with xr.open_dataset(run.product("concentration") / "concentration.nc") as found:
        return found.load()


def test_concentration_is_the_truth_within_what_pixels_tell(maps, monkeypatch):
    assert products_here(monkeypatch, maps, "concentration", concentration={"cell_km": 4}).failures == ()
    found = opened(maps)
    ice, thin = dense(found.xc.values, found.yc.values, 4000)
    whole = found.unclassified_fraction.values[0] < 1e-9
    assert whole.sum() > 60
    assert np.abs(found.ice_conc.values[0] - ice)[whole].max() < 0.01
    assert np.abs(found.thin_ice_fraction.values[0] - thin)[whole].max() < 0.01
    assert abs((found.ice_conc.values[0] - ice)[whole].mean()) < 1e-3
    # 4000 m / 40 m a side, each of them once, although two maps show most of them.
    assert (found.number_of_pixels.values[0][whole] == 100**2).all()


def test_coordinates_open_in_xarray_where_they_are_on_earth(maps, monkeypatch):
    products_here(monkeypatch, maps, "concentration", concentration={"cell_km": 4})
    found = opened(maps)
    assert found.ice_conc.dims == ("time", "yc", "xc")
    assert (
        found.time.values.astype("datetime64[h]").tolist()
        == np.array(["2019-11-03T12", "2019-11-05T12"], "datetime64[h]").tolist()
    )
    crs = pyproj.CRS.from_cf(found.crs.attrs)
    assert crs.to_epsg() == 6932
    assert found.crs.attrs["grid_mapping_name"] == "lambert_azimuthal_equal_area"
    assert found.crs.attrs["latitude_of_projection_origin"] == -90
    x, y = np.meshgrid(found.xc.values, found.yc.values)
    lon, lat = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)
    np.testing.assert_allclose(found.lat.values, lat, atol=1e-9)
    np.testing.assert_allclose(found.lon.values, lon, atol=1e-9)
    assert {"lat", "lon"} <= set(found.ice_conc.coords)


@pytest.mark.slow
def test_the_file_passes_the_compliance_checker(maps, monkeypatch):
    products_here(monkeypatch, maps, "concentration", concentration={"cell_km": 4})
    checker = shutil.which("compliance-checker", path=Path(sys.executable).parent)
    file = maps.product("concentration") / "concentration.nc"
    said = subprocess.run([checker, "-t", "cf:1.11", "-c", "strict", file], capture_output=True, text=True)
    assert said.returncode == 0, said.stdout


@pytest.mark.parametrize("size", [150, 333])
def test_blocks_change_no_bit(maps, monkeypatch, size):
    products_here(monkeypatch, maps, "concentration", concentration={"cell_km": 4})
    first = opened(maps)
    shutil.rmtree(maps.products)
    monkeypatch.setattr(pipelines.products.grids.cell_block.count_cells, "__defaults__", (size,))
    monkeypatch.setattr("pipelines.products.concentration.PIXELS_A_SIDE", 3 * size)
    products_here(monkeypatch, maps, "concentration", concentration={"cell_km": 4})
    assert opened(maps).drop_attrs().identical(first.drop_attrs())


@pytest.mark.parametrize("crs", ["EPSG:3031", "EPSG:3976", "EPSG:32701"])
def test_shares_are_of_true_area_in_any_system(tmp_path, monkeypatch, crs):
    """Half of the ground is ice, whatever a projection stretches."""
    factory = MapFactory(tmp_path / "run")
    transform = Affine(100, 0, 400_000, 0, -100, 1_600_000)
    classes = np.zeros((800, 800), np.uint8)
    classes[:, 400:] = 2
    factory.add("half", classes, UTM, transform, time=TIME)
    settings = {"cell_km": 25, "crs": crs, "least": 0.01}
    products_here(monkeypatch, factory.write(), "concentration", concentration=settings)
    found = opened(factory.run)
    area = (
        25e3**2
        / stretch(crs, found.lat.values, found.lon.values)
        * (1 - found.unclassified_fraction.values[0])
    )
    ice = np.nansum(area * found.ice_conc.values[0])
    assert ice / area.sum() == pytest.approx(0.5, abs=1e-3)
    # The whole scene on the ellipsoid: the scale of its own projection changes little over 80 km.
    assert area.sum() == pytest.approx(
        80e3**2 / stretch(UTM, *[np.array([v]) for v in middle()])[0], rel=1e-3
    )


def middle():
    lon, lat = pyproj.Transformer.from_crs(UTM, "EPSG:4326", always_xy=True).transform(440_000, 1_560_000)
    return lat, lon


def stretch(crs, lat, lon):
    """How many times as large as on Earth areas are in a projection."""
    return np.asarray(pyproj.Proj(crs).get_factors(lon, lat).areal_scale)


def test_flags_say_why_a_cell_is_as_it_is(tmp_path, monkeypatch):
    factory = MapFactory(tmp_path / "run")
    classes = np.full((400, 400), 2, np.uint8)
    status = np.zeros((400, 400), np.uint8)
    status[:200, :200], classes[:200, :200] = PixelStatus.CLOUD, IGNORE
    status[:200, 200:], classes[:200, 200:] = PixelStatus.LAND, IGNORE
    status[200:, :200] = PixelStatus.DOUBT
    status[200:, 200:] = PixelStatus.LOW_SUN
    transform = Affine(50, 0, 100_000, 0, -50, 120_000)
    factory.add("a", classes, "EPSG:6932", transform, time=TIME, status=status)
    products_here(monkeypatch, factory.write(), "concentration", concentration={"cell_km": 10})
    found = opened(factory.run)
    few = CellFlag.FEW_PIXELS
    assert found.status_flag.values[0].tolist() == [
        [CellFlag.CLOUD | few, CellFlag.LAND | few],
        [CellFlag.DOUBT, CellFlag.LOW_SUN],
    ]
    assert found.status_flag.attrs["flag_meanings"].split()[:5] == [
        "land",
        "cloud",
        "nodata",
        "few_pixels",
        "low_sun",
    ]
    assert np.isnan(found.ice_conc.values[0][0]).all()
    assert (found.ice_conc.values[0][1] == 1).all()
    assert found.unclassified_fraction.values[0].tolist() == [[1, 1], [0, 0]]


def evaluation(matrices, models=()):
    """Return an evaluation whose scenes have these confusion matrices, rows truth and columns map."""
    models = None if models is None else list(models)
    none = np.zeros((3, 3), np.int64)
    tallies = [Tally(1, none, {("all", "model"): np.array(each)}) for each in matrices]
    scenes = [
        SceneResult(
            scene_id=f"s{number}", footprints=1, agreement_with_automatic_labels=agreement_of(tally),
            accuracy_against_truth=accuracy_of(tally),
        )
        for number, tally in enumerate(tallies)
    ]  # fmt: skip
    return Evaluation(
        chips_digest="c", models=models, model_chips_digest=None, split_by="scene", chip_size=16,
        test_scenes=[scene.scene_id for scene in scenes], footprints=len(scenes), reason="", notes=[],
        agreement_with_automatic_labels=None, accuracy_against_truth={}, scenes=scenes,
    )  # fmt: skip


def test_uncertainty_is_there_with_an_evaluation_and_holds_the_truth(maps, monkeypatch):
    """Maps that take a tenth of the water for thin ice: the truth is within what the uncertainty says."""
    products_here(monkeypatch, maps, "concentration", concentration={"cell_km": 4})
    first = opened(maps)
    assert np.isnan(first.total_standard_uncertainty.values).all()
    assert "There is no uncertainty" in first.attrs["comment"]
    rng = np.random.default_rng(5)
    matrices = []
    for _ in range(8):
        wrong = rng.binomial(4000, rng.beta(10, 90))
        matrices.append([[4000 - wrong, wrong, 0], [0, 2000, 0], [0, 0, 4000]])
    write_json(maps.evaluation, evaluation(matrices).model_dump(mode="json"))
    products_here(monkeypatch, maps, "concentration", concentration={"cell_km": 4})
    found = opened(maps)
    told = found.total_standard_uncertainty.values[0]
    known = ~np.isnan(found.ice_conc.values[0])
    assert (~np.isnan(told) == known).all()
    # Of what is mapped as thin ice about 400 of 2400 pixels are water; water and thick ice are what they say.
    np.testing.assert_allclose(
        told[known], found.thin_ice_fraction.values[0][known] * 400 / 2400, rtol=0.25, atol=1e-9
    )
    assert "8 test scenes" in found.attrs["comment"]


@pytest.mark.parametrize(
    ("drawn_by", "evaluated", "fits"),
    [
        (["m"], ["m"], True), (["m", None], ["m"], True), (["m"], ["n"], False), (["m"], ["m", "n"], False),
        (["m", "n"], ["m"], False), (["m"], None, False), ([None], ["m"], True), ([None], [], True),
    ],
)  # fmt: skip
def test_errors_of_another_models_maps_are_not_these_maps(
    tmp_path, monkeypatch, caplog, drawn_by, evaluated, fits
):
    factory, transform = MapFactory(tmp_path / "run"), Affine(100, 0, 306_000, 0, -100, 1_560_000)
    for number, model in enumerate(drawn_by):
        classes = observed(UTM, transform, (100, 100))
        factory.add(f"s{number}", classes, UTM, transform, time=TIME, model=model)
    maps = factory.write()
    matrices = [[[90, 10, 0], [0, 50, 0], [0, 0, 100]], [[80, 20, 0], [0, 50, 0], [0, 0, 100]]]
    write_json(maps.evaluation, evaluation(matrices, evaluated).model_dump(mode="json"))
    products_here(monkeypatch, maps, "concentration")
    found = opened(maps)
    assert np.isnan(found.total_standard_uncertainty.values).all() != fits
    said = "is of maps by another model than these maps"
    assert (said in found.attrs["comment"]) is not fits
    assert any(said in message for message in caplog.messages) is not fits


def test_errors_of_a_network_that_drew_no_test_scene_are_not_known(tmp_path, monkeypatch, caplog):
    factory, transform = MapFactory(tmp_path / "run"), Affine(100, 0, 306_000, 0, -100, 1_560_000)
    for number, model in enumerate(["m", None]):
        classes = observed(UTM, transform, (100, 100))
        factory.add(f"s{number}", classes, UTM, transform, time=TIME, model=model)
    maps = factory.write()
    matrices = [[[90, 10, 0], [0, 50, 0], [0, 0, 100]], [[80, 20, 0], [0, 50, 0], [0, 0, 100]]]
    write_json(maps.evaluation, evaluation(matrices).model_dump(mode="json"))
    products_here(monkeypatch, maps, "concentration")
    assert any("in none of the test scenes" in message for message in caplog.messages)
    assert np.isnan(opened(maps).total_standard_uncertainty.values).all()
    # The way out that the message names.
    products_here(monkeypatch, maps, "concentration", scenes=["s1"])
    assert not np.isnan(opened(maps).total_standard_uncertainty.values).all()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"crs": "EPSG:4326"}, r"concentration\.crs is WGS 84, in degrees.*kilometres"),
        ({"crs": "EPSG:0"}, "no coordinate system"),
        ({"rule": "most-certain"}, r"probability\.tif, which the rule most-certain of concentration needs"),
    ],
)
def test_what_cannot_be_is_refused_with_the_way_out(maps, monkeypatch, settings, said):
    with pytest.raises(ConfigError, match=said):
        products_here(monkeypatch, maps, "concentration", concentration=settings)
    assert not maps.product("concentration").exists()


def test_an_absurd_grid_is_refused(tmp_path, monkeypatch):
    factory = MapFactory(tmp_path / "run")
    ice = np.full((40, 40), 2, np.uint8)
    factory.add("a", ice, "EPSG:3031", Affine(10, 0, 0, 0, -10, 0), time=TIME)
    factory.add("b", ice, "EPSG:3031", Affine(10, 0, 3e6, 0, -10, 3e6), time=TIME)
    with pytest.raises(ConfigError, match=r"the concentration grid would have .* Choose fewer"):
        products_here(monkeypatch, factory.write(), "concentration", concentration={"cell_km": 0.5})


def test_maps_without_times_make_one_grid_without_time(tmp_path, monkeypatch):
    factory = MapFactory(tmp_path / "run")
    ice = np.full((40, 40), 2, np.uint8)
    factory.add("a", ice, "EPSG:3031", Affine(100, 0, 0, 0, -100, 0))
    run = factory.write()
    with pytest.raises(ConfigError, match=r"there are no days.*period: all"):
        products_here(monkeypatch, run, "concentration", concentration={"period": "day"})
    with pytest.raises(ConfigError, match=r"no sensing time.*clearest"):
        products_here(monkeypatch, run, "concentration", concentration={"rule": "newest"})
    products_here(monkeypatch, run, "concentration", concentration={"cell_km": 1})
    assert opened(run).ice_conc.dims == ("yc", "xc")
