"""Mosaics against a plain one: PROJ is asked where each pixel lies in each map, and the rule is applied."""

import json
import tracemalloc

import numpy as np
import pyproj
import pytest
import rasterio
from affine import Affine
from map_factory import MapFactory
from products_here import products_here
from rasterio.crs import CRS
from rio_cogeo.cogeo import cog_validate

import pipelines.products.mosaic
from labeling.errors import ConfigError
from labeling.status import PixelStatus

IGNORE = 255
RULES = ("newest", "clearest", "most-certain", "most-common")


def scenes():
    """Maps around the 180th meridian and near the pole, in three systems; their classes are noise."""
    rng = np.random.default_rng(11)
    places = {
        "a": ("EPSG:32701", Affine(500, 0, 290_000, 0, -500, 1_560_000), (90, 110)),
        "b": ("EPSG:32760", Affine(500, 0, 650_000, 0, -500, 1_550_000), (100, 90)),
        "c": ("EPSG:3031", Affine(500, 0, -30_000, 0, -500, -1_380_000), (120, 130)),
        "d": ("EPSG:3031", Affine(500, 0, -60_250, 0, -500, -1_370_000), (64, 200)),
    }
    for number, (name, (crs, transform, shape)) in enumerate(places.items()):
        classes = rng.choice(np.array([0, 1, 2, IGNORE], np.uint8), shape, p=[0.3, 0.2, 0.3, 0.2])
        status = np.where(classes == IGNORE, rng.integers(1, 4, shape), rng.choice([0, 5], shape))
        sure = rng.integers(0, 251, (3, *shape)).astype(np.uint8)
        sure[:, rng.random(shape) < 0.2] = 255  # where no network was asked
        time = f"2019-11-0{1 + number * 3 % 4}T20:00:00Z"
        yield name, crs, transform, classes, status.astype(np.uint8), sure, time


@pytest.fixture
def maps(tmp_path):
    factory = MapFactory(tmp_path / "run")
    for name, crs, transform, classes, status, sure, time in scenes():
        factory.add(name, classes, crs, transform, time=time, status=status, probability=sure)
    return factory.write()


def read(run, name):
    with rasterio.open(run.product("mosaic") / name) as raster:
        return raster.read(1), raster.transform, raster.crs


def plain(transform, crs, shape, rule):
    """Return the classes, the status and the age of a mosaic, pixel by pixel."""
    columns, rows = np.meshgrid(np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5)
    x, y = transform @ (columns.ravel(), rows.ravel())
    found = list(scenes())
    found.sort(key=lambda each: each[6], reverse=True)
    if rule == "clearest":
        found.sort(key=lambda each: np.mean(each[3] == IGNORE))
    seen = []
    for _, own, to, classes, status, sure, time in found:
        u, v = pyproj.Transformer.from_crs(crs.to_wkt(), own, always_xy=True).transform(x, y)
        c, r = np.floor(~to @ (u, v)).astype(int)
        seen.append((r, c, classes, status, np.where(sure == 255, -1.0, sure), float(time[8:10])))
    codes, why, age = np.full(x.size, IGNORE), np.full(x.size, 1), np.full(x.size, np.nan)
    newest = max(each[5] for each in seen)
    for i in range(x.size):
        here = [
            (k[r[i], c[i]], s[r[i], c[i]], p[k[r[i], c[i]] % 3, r[i], c[i]], day)
            for r, c, k, s, p, day in seen
            if 0 <= r[i] < k.shape[0] and 0 <= c[i] < k.shape[1]
        ]
        classed = [each for each in here if each[0] != IGNORE]
        if not classed:
            why[i] = next((each[1] for each in here if each[1] != PixelStatus.NODATA), 1)
            continue
        if rule == "most-certain":
            best = max(classed, key=lambda each: each[2])
        elif rule == "most-common":
            names = [each[0] for each in classed]
            best = max(classed, key=lambda each: names.count(each[0]))
        else:
            best = classed[0]
        codes[i], why[i], age[i] = best[0], best[1], newest - best[3]
    return (each.reshape(shape) for each in (codes, why, age))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("crs", "block"), [("auto", 1024), ("EPSG:3031", 64), ("EPSG:3976", 96)])
def test_a_mosaic_is_the_plain_one_whatever_its_blocks(maps, monkeypatch, rule, crs, block):
    monkeypatch.setattr(pipelines.products.mosaic, "BLOCK", block)
    settings = {"rule": rule, "crs": crs, "pixel": 1000}
    assert products_here(monkeypatch, maps, "mosaic", mosaic=settings).failures == ()
    codes, transform, system = read(maps, "mosaic.tif")
    assert system == CRS.from_user_input("EPSG:6932" if crs == "auto" else crs)
    true_codes, true_status, true_age = plain(transform, system, codes.shape, rule)
    # PROJ gives the last bit differently with other neighbours, so a pixel on a border may go either way.
    wrong = (codes != true_codes) | (read(maps, "status.tif")[0] != true_status)
    assert np.count_nonzero(wrong) <= 1
    np.testing.assert_allclose(read(maps, "age.tif")[0][~wrong], true_age[~wrong])
    about = json.loads((maps.product("mosaic") / "mosaic.json").read_text())
    assert about["pixels"] == {
        name: np.count_nonzero(codes == code) for code, name in enumerate(("water", "thin_ice", "thick_ice"))
    }


def test_one_map_in_its_own_system_is_itself(tmp_path, monkeypatch):
    factory = MapFactory(tmp_path / "run")
    classes = np.random.default_rng(2).choice(np.array([0, 1, 2], np.uint8), (700, 1100))
    transform = Affine(10, 0, 300_003, 0, -10, 1_700_007)
    factory.add("one", classes, "EPSG:32758", transform, time="2019-11-03T20:00:00Z")
    run = factory.write()
    monkeypatch.setattr(pipelines.products.mosaic, "BLOCK", 512)
    products_here(monkeypatch, run, "mosaic")
    found, to, _ = read(run, "mosaic.tif")
    assert to == transform
    assert (found == classes).all()
    assert (read(run, "age.tif")[0] == 0).all()
    assert (read(run, "scene.tif")[0] == 1).all()


def test_files_are_cogs_with_colours_and_areas_are_true(maps, monkeypatch):
    products_here(monkeypatch, maps, "mosaic", mosaic={"pixel": 100})
    for name in ("mosaic.tif", "status.tif", "age.tif", "scene.tif"):
        valid, errors, warnings = cog_validate(maps.product("mosaic") / name, strict=True)
        assert (valid, errors, warnings) == (True, [], [])
    with rasterio.open(maps.product("mosaic") / "mosaic.tif") as raster:
        assert raster.colormap(1)[2] == (250, 244, 228, 255)
        assert raster.tags(1)["CLASS_1"] == "thin ice"
        assert raster.overviews(1)
        codes = raster.read(1)
    areas = json.loads((maps.product("mosaic") / "mosaic.json").read_text())["areas_m2"]
    # EASE-Grid 2.0 is equal-area, so each of its pixels truly has 100 m x 100 m.
    assert areas["thin_ice"] == pytest.approx(np.count_nonzero(codes == 1) * 1e4, rel=1e-4)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_maps(tmp_path, monkeypatch):
    peaks = {}
    monkeypatch.setattr(pipelines.products.mosaic, "BLOCK", 256)
    for count in (10, 200):
        factory = MapFactory(tmp_path / f"run{count}")
        rng = np.random.default_rng(4)
        for number in range(count):
            classes = rng.choice(np.array([0, 1, 2, IGNORE], np.uint8), (300, 300))
            place = Affine(10, 0, 10 * int(rng.integers(0, 300)), 0, -10, 10 * int(rng.integers(0, 300)))
            factory.add(
                f"s{number}", classes, "EPSG:3031", place, time=f"2019-11-03T20:{number % 60:02d}:00Z"
            )
        run = factory.write()
        tracemalloc.start()
        products_here(monkeypatch, run, "mosaic")
        peaks[count] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    # Marks and paths of 190 more maps take some; their pixels, 17 MB, are not held.
    assert peaks[200] - peaks[10] < 6e6


def test_a_rerun_makes_only_blocks_that_a_new_map_reaches(tmp_path, monkeypatch):
    monkeypatch.setattr(pipelines.products.mosaic, "BLOCK", 64)
    factory = MapFactory(tmp_path / "run")
    ice = np.full((128, 128), 2, np.uint8)
    factory.add("a", ice, "EPSG:3031", Affine(10, 0, 0, 0, -10, 0), time="2019-11-03T20:00:00Z")
    products_here(monkeypatch, factory.write(), "mosaic")
    made = {path: path.stat().st_mtime_ns for path in factory.run.products.rglob("done.json")}
    # To the west, so that the mosaic begins elsewhere; and newer, so that all ages change.
    factory.add("b", ice, "EPSG:3031", Affine(10, 0, -960, 0, -10, 0), time="2019-11-05T08:00:00Z")
    run = factory.write()
    products_here(monkeypatch, run, "mosaic")
    again = {path for path, time in made.items() if path.exists() and path.stat().st_mtime_ns == time}
    assert len(again) == 2  # of four blocks two have none of the new map
    age, codes = read(run, "age.tif")[0], read(run, "mosaic.tif")[0]
    assert codes.shape == (128, 224)
    assert (age[:, :128] == 0).all()
    np.testing.assert_allclose(age[:, 128:], 1.5)


def test_bounds_cut_a_mosaic_and_its_areas(maps, monkeypatch):
    monkeypatch.setattr(pipelines.products.mosaic, "BLOCK", 64)
    settings = {"pixel": 500, "crs": "EPSG:3031"}
    products_here(monkeypatch, maps, "mosaic", mosaic=settings)
    whole, transform, _ = read(maps, "mosaic.tif")
    west, north = transform @ (37, 21)
    east, south = transform @ (150, 90)
    products_here(monkeypatch, maps, "mosaic", mosaic=settings | {"bounds": [west, south, east, north]})
    found, to, _ = read(maps, "mosaic.tif")
    assert to @ (0, 0) == (west, north)
    assert (found == whole[21:90, 37:150]).all()
    about = json.loads((maps.product("mosaic") / "mosaic.json").read_text())
    assert about["pixels"]["water"] == np.count_nonzero(found == 0)


def test_a_newer_map_outside_the_bounds_changes_nothing_of_what_is_cut(tmp_path, monkeypatch):
    factory = MapFactory(tmp_path / "run")
    ice, settings = np.full((64, 64), 2, np.uint8), {"bounds": [0, -640, 640, 0]}
    factory.add("in", ice, "EPSG:3031", Affine(10, 0, 0, 0, -10, 0), time="2019-11-03T20:00:00Z")
    factory.add("out", ice, "EPSG:3031", Affine(10, 0, 64_000, 0, -10, 0), time="2019-11-09T20:00:00Z")
    products_here(monkeypatch, factory.write(), "mosaic", mosaic=settings)
    about = json.loads((factory.run.product("mosaic") / "mosaic.json").read_text())
    assert about["reference_time"].startswith("2019-11-03")
    assert [each["scene_id"] for each in about["scenes"].values()] == ["in"]
    assert (read(factory.run, "age.tif")[0] == 0).all()


def test_a_system_that_has_no_place_on_earth_is_one_scenes_failure(tmp_path, monkeypatch):
    factory = MapFactory(tmp_path / "run")
    ice, time = np.full((40, 40), 2, np.uint8), "2019-11-03T20:00:00Z"
    plan_of_a_site = 'LOCAL_CS["site",UNIT["metre",1],AXIS["x",EAST],AXIS["y",NORTH]]'
    factory.add("site", ice, plan_of_a_site, Affine(10, 0, 0, 0, -10, 0), time=time)
    with pytest.raises(ConfigError, match=r"none of 1 map\(s\) can be used"):
        products_here(monkeypatch, factory.write(), "mosaic")
    factory.add("good", ice, "EPSG:3031", Affine(10, 0, 0, 0, -10, 0), time=time)
    outcome = products_here(monkeypatch, factory.write(), "mosaic", "concentration")
    assert {(failure.scene, failure.step) for failure in outcome.failures} >= {
        ("site", "mosaic"), ("site", "concentration"),
    }  # fmt: skip
    assert read(factory.run, "mosaic.tif")[0].shape == (40, 40)


def test_dates_choose_maps_and_what_has_none_is_told(maps, monkeypatch):
    factory = MapFactory(maps.root)
    for name, crs, transform, classes, status, sure, time in scenes():
        factory.add(name, classes, crs, transform, time=time, status=status, probability=sure)
    factory.add("undated", np.full((9, 9), 2, np.uint8), "EPSG:3031", Affine(500, 0, 0, 0, -500, 0))
    outcome = products_here(monkeypatch, factory.write(), "mosaic", since="2019-11-03", mosaic={"pixel": 500})
    assert [failure.scene for failure in outcome.failures] == ["undated"]
    assert outcome.exit_code == 3


def test_dates_choose_maps(maps, monkeypatch):
    products_here(monkeypatch, maps, "mosaic", since="2019-11-03", until="2019-11-03", mosaic={"pixel": 500})
    about = json.loads((maps.product("mosaic") / "mosaic.json").read_text())
    days = [each["sensing_time"][:10] for each in about["scenes"].values()]
    assert days == ["2019-11-03"]
    assert about["reference_time"].startswith("2019-11-03T20:00:00")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"crs": "EPSG:12345678"}, r"mosaic\.crs is EPSG:12345678, which is no coordinate system"),
        ({"crs": "EPSG:4326"}, r"mosaic\.pixel must be given, in degrees"),
        ({"pixel": 0.01}, "the mosaic would have .* squares are the most"),
        ({"bounds": [0, 0, 10, 10]}, r"mosaic\.bounds .* hold no map.* lie within"),
    ],
)
def test_what_cannot_be_a_mosaic_is_refused_with_the_way_out(maps, monkeypatch, settings, said):
    with pytest.raises(ConfigError, match=said):
        products_here(monkeypatch, maps, "mosaic", mosaic=settings)
    assert not maps.product("mosaic").exists()


def test_maps_that_do_not_go_together_are_refused_unless_said(tmp_path, monkeypatch):
    factory = MapFactory(tmp_path / "run")
    ice, time = np.full((40, 40), 2, np.uint8), "2019-11-03T20:00:00Z"
    factory.add("a", ice, "EPSG:3031", Affine(10, 0, 0, 0, -10, 0), time=time)
    factory.add("b", ice, "EPSG:3031", Affine(60, 0, 0, 0, -60, 0), time=time, rendering="tci-l1c")
    run = factory.write()
    with pytest.raises(ConfigError, match=r"several renderings, rgb8 \(1\), tci-l1c \(1\).*mixed: true"):
        products_here(monkeypatch, run, "mosaic")
    with pytest.raises(ConfigError, match=r"mixed resolutions: pixels of a are .*mosaic\.pixel"):
        products_here(monkeypatch, run, "mosaic", mixed=True)
    assert products_here(monkeypatch, run, "mosaic", mixed=True, mosaic={"pixel": 20}).failures == ()


def test_a_map_without_place_or_time_is_left_out_and_told(maps, monkeypatch):
    factory = MapFactory(maps.root)
    for name, crs, transform, classes, status, sure, time in scenes():
        factory.add(name, classes, crs, transform, time=time, status=status, probability=sure)
    ice = np.full((40, 40), 2, np.uint8)
    factory.add("no-time", ice, "EPSG:3031", Affine(500, 0, 0, 0, -500, 0))
    factory.add("no-place", ice, None, None, time="2019-11-03T20:00:00Z")
    outcome = products_here(monkeypatch, factory.write(), "mosaic", mosaic={"pixel": 500})
    told = {failure.scene: failure.reason for failure in outcome.failures}
    assert "no sensing time" in told["no-time"]
    assert "where on Earth" in told["no-place"]
    assert outcome.exit_code == 3
    assert read(maps, "mosaic.tif")[0].size


def test_both_hemispheres_need_a_word(tmp_path, monkeypatch):
    factory = MapFactory(tmp_path / "run")
    ice, time = np.full((40, 40), 2, np.uint8), "2019-11-03T20:00:00Z"
    factory.add("a", ice, "EPSG:3031", Affine(10, 0, 0, 0, -10, 0), time=time)
    factory.add("b", ice, "EPSG:3413", Affine(10, 0, 0, 0, -10, 0), time=time)
    with pytest.raises(ConfigError, match="both hemispheres"):
        products_here(monkeypatch, factory.write(), "mosaic")
