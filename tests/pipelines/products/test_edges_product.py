"""Edges of a run's concentration: circles where it is a cone, areas where edges moved, refusals that help."""

import datetime
from hashlib import sha256

import netCDF4
import numpy as np
import pyarrow.parquet as pq
import pyogrio
import pyproj
import pytest
import shapely
import xarray
from run_factory import RunFactory

from labeling.errors import ConfigError
from labeling.files.layout import write_done
from pipelines.products.config import ProductsConfig
from pipelines.products.job import run

CELL = 25_000.0
SIDE = 61
MIDDLE = (-300e3, -1_000e3)
REACH = 600e3


def axis(middle, step):
    return middle + step * (np.arange(SIDE) - SIDE // 2)


def cone(shift=0.0):
    """Concentration that falls in a straight line from 1 in the middle to 0 at REACH from it."""
    x, y = np.meshgrid(axis(MIDDLE[0], CELL), axis(MIDDLE[1], -CELL))
    return np.clip(1 - np.hypot(x - MIDDLE[0] - shift, y - MIDDLE[1]) / REACH, 0, 1)


def write_fields(path, slices, days, *, crs="EPSG:6932", units="1", step=CELL, name="ice_conc"):
    """A file as the CF conventions want it, by xarray; days None: without times."""
    values = np.stack(slices).astype(np.float32) * (100 if units == "%" else 1)
    where = {"yc": axis(MIDDLE[1], -step), "xc": axis(MIDDLE[0], step)}
    dimensions = ("time", "yc", "xc")
    if days is None:
        values, dimensions = values[0], dimensions[1:]
    else:
        where["time"] = [np.datetime64(day, "ns") + np.timedelta64(12, "h") for day in days]
    field = xarray.DataArray(values, {key: where[key] for key in dimensions}, dimensions)
    field.attrs = {"units": units, "grid_mapping": "crs"}
    data = xarray.Dataset({name: field})
    for key in ("yc", "xc"):
        data[key].attrs["units"] = "m"
    data["crs"] = ((), np.int32(0), pyproj.CRS(crs).to_cf())
    path.parent.mkdir(parents=True, exist_ok=True)
    data.to_netcdf(path, engine="netcdf4")
    return path


FIRST = {"of": "maps", "maps": 1, "ids": sha256(b"first").hexdigest()}


def finish(folder, choice=FIRST):
    """The mark of a concentration, which knows its grid and its maps."""
    corner = (MIDDLE[0] - CELL * SIDE / 2, MIDDLE[1] + CELL * SIDE / 2)
    grid = [pyproj.CRS("EPSG:6932").to_wkt(), [CELL, 0, corner[0], 0, -CELL, corner[1]], SIDE, SIDE]
    write_done(folder, {"grid": grid, "choice": choice}, ["concentration.nc"])


DAYS = ("2019-11-03", "2019-11-04", "2019-11-07")


@pytest.fixture
def made(tmp_path):
    factory = RunFactory(tmp_path)
    classes = np.zeros((40, 40), np.uint8)
    factory.add("first", classes, classes)
    made_run = factory.write()
    folder = made_run.product("concentration")
    write_fields(folder / "concentration.nc", [cone(), cone(100e3), cone(-200e3)], DAYS)
    finish(folder)
    return made_run


def edges(made_run, **options):
    return run(ProductsConfig(run=made_run.root, products=["edges"], edges=options))


def lines(made_run):
    meta, _, shapes, values = pyogrio.raw.read(made_run.product("edges") / "edges.gpkg", layer="edges")
    rows = zip(*values, shapes, strict=True)
    assert list(meta["fields"]) == ["day", "level"]
    return {(day, level): shapely.from_wkb(shape) for day, level, shape in rows}


def errors(made_run):
    return pq.read_table(made_run.product("edges") / "errors.parquet").to_pylist()


def test_edges_of_a_cone_are_circles_with_the_ice_inside(made):
    assert edges(made) == (1, ())
    found = lines(made)
    assert found.keys() == {(day, level) for day in DAYS for level in (0.15, 0.3, 0.7)}
    for (day, level), shape in found.items():
        shift = {"2019-11-03": 0, "2019-11-04": 100e3, "2019-11-07": -200e3}[day]
        points = shapely.get_coordinates(shape)
        away = np.hypot(points[:, 0] - MIDDLE[0] - shift, points[:, 1] - MIDDLE[1])
        assert away == pytest.approx((1 - level) * REACH, abs=0.05 * CELL)
        assert shapely.is_ccw(shapely.get_geometry(shape, 0))
    crs = pyogrio.read_info(made.product("edges") / "edges.gpkg")["crs"]
    assert pyproj.CRS(crs) == pyproj.CRS("EPSG:6932")


def lune(radius, apart):
    """What a circle covers that another of its size, so far away, does not."""
    overlap = 2 * radius**2 * np.arccos(apart / 2 / radius) - apart / 2 * np.sqrt(4 * radius**2 - apart**2)
    return np.pi * radius**2 - overlap


def test_circles_that_moved_are_wrong_by_their_lunes(made):
    edges(made)
    found = errors(made)
    assert len(found) == 6
    for row in found:
        apart = {"2019-11-04": 100e3, "2019-11-07": 300e3}[row["day"]]
        assert row["other_day"] == {"2019-11-04": "2019-11-03", "2019-11-07": "2019-11-04"}[row["day"]]
        expected = lune((1 - row["level"]) * REACH, apart)
        # The grid is of equal area, and cells are in or out as a whole.
        assert row["over_m2"] == pytest.approx(expected, rel=0.12)
        assert row["under_m2"] == pytest.approx(expected, rel=0.12)
        assert row["iiee_m2"] == pytest.approx(row["over_m2"] + row["under_m2"])
        assert row["compared_m2"] == pytest.approx((SIDE * CELL) ** 2, rel=1e-3)


@pytest.mark.parametrize(("units", "days"), [("1", DAYS), ("%", DAYS), ("%", None)])
def test_a_reference_is_compared_day_by_day_whatever_its_unit(made, tmp_path, units, days):
    slices = [cone(), cone(), cone()]
    file = write_fields(tmp_path / "osi.nc", slices, days, units=units, name="conc")
    edges(made, reference=file, variable="conc", levels=[0.15])
    found = {row["day"]: row for row in errors(made) if row["compared_with"] == "reference"}
    assert found.keys() == set(DAYS)
    assert found["2019-11-03"]["iiee_m2"] == 0
    assert found["2019-11-04"]["over_m2"] == pytest.approx(lune(0.85 * REACH, 100e3), rel=0.12)


def test_days_are_chosen_and_a_rerun_does_nothing(made):
    edges(made, days=["2019-11-03", "2019-11-07"])
    assert {day for day, _ in lines(made)} == {"2019-11-03", "2019-11-07"}
    assert {(row["day"], row["other_day"]) for row in errors(made)} == {("2019-11-07", "2019-11-03")}
    mark = made.product("edges") / "done.json"
    before = mark.stat().st_mtime_ns
    edges(made, days=["2019-11-03", "2019-11-07"])
    assert mark.stat().st_mtime_ns == before
    folder = made.product("concentration")
    write_fields(folder / "concentration.nc", [cone(), cone(), cone()], DAYS)
    finish(folder)
    edges(made, days=["2019-11-03", "2019-11-07"])
    assert all(row["iiee_m2"] == 0 for row in errors(made))


def test_without_a_concentration_there_are_no_edges(made):
    (made.product("concentration") / "done.json").unlink()
    with pytest.raises(ConfigError, match=r"no finished concentration\.nc .*concentration edges"):
        edges(made)


def test_a_concentration_of_other_maps_is_refused(made):
    choice = {"of": "maps", "maps": 2, "ids": sha256(b"first\nsecond").hexdigest()}
    finish(made.product("concentration"), choice)
    with pytest.raises(ConfigError, match="was made of other maps than the 1 maps that edges is asked of"):
        edges(made)
    assert not made.product("edges").exists()


def test_a_slice_of_more_than_a_day_is_of_no_day(made, tmp_path):
    folder = made.product("concentration")
    for hours, day in ((24, "2019-11-03"), (49, None)):
        with netCDF4.Dataset(write_fields(folder / "concentration.nc", [cone()], DAYS[:1]), "a") as file:
            file.createDimension("nv", 2)
            time, bounds = file["time"], file.createVariable("time_bnds", "f8", ("time", "nv"))
            time.bounds = "time_bnds"
            unit = 24 if time.units.startswith("days") else 1
            bounds[0] = time[0], time[0] + hours / unit
        finish(folder)
        assert edges(made).exit_code == 0
        assert {found for found, _ in lines(made)} == {day}


def test_a_reference_of_two_times_a_day_is_refused(made, tmp_path):
    path = write_fields(tmp_path / "ref.nc", [cone(), cone()], (DAYS[0], DAYS[0]))
    with pytest.raises(ConfigError, match=r"has 2 times of 2019-11-03"):
        edges(made, reference=str(path), days=[DAYS[0]])


def test_a_day_that_is_not_there_is_refused_with_those_that_are(made):
    with pytest.raises(
        ConfigError, match=r"nothing of 2019-11-05\. Days that are there: 2019-11-03, 2019-11-04"
    ):
        edges(made, days=[datetime.date(2019, 11, 5)])
    assert not made.product("edges").exists()


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({"step": 2 * CELL}, "is on another grid"),
        ({"crs": "EPSG:3412"}, "is on another grid"),
        ({"days": ["2018-01-01"] * 3}, "has nothing of 2019-11-03"),
        ({"name": "other"}, "no variable ice_conc. Fields that are there: other"),
        ({"units": "tenths"}, "unit of 1 or %"),
    ],
)
def test_a_reference_that_cannot_be_compared_is_refused(made, tmp_path, about, said):
    options = {"days": DAYS} | about
    file = write_fields(tmp_path / "other.nc", [cone()] * 3, options.pop("days"), **options)
    with pytest.raises(ConfigError) as refused:
        edges(made, reference=file)
    assert said in str(refused.value)
    assert not made.product("edges").exists()


@pytest.mark.parametrize("content", [None, b"", b"no NetCDF at all", b"CDF\x01\x00\x00"])
def test_a_reference_that_is_no_netcdf_is_refused(made, tmp_path, content):
    file = tmp_path / "damaged.nc"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"damaged\.nc"):
        edges(made, reference=file)
