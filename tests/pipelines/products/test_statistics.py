"""Areas by scene, polygon and cell against geodesic polygons, closed forms and simulated truth."""

import json

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pyogrio
import pyproj
import pytest
import shapely
from affine import Affine
from map_factory import MapFactory
from products_here import products_here

from labeling.errors import ConfigError
from labeling.masks.layers import open_layer
from labeling.simulation.scene import SceneSpec, simulate
from labeling.status import PixelStatus
from pipelines.products.config import ProductsConfig
from pipelines.products.maps import find_maps
from pipelines.products.statistics_worker import POLYGONS, count_map

IGNORE = 255
CLASSES = ("water", "thin_ice", "thick_ice", "unclassified")
GEOD = pyproj.Geod(ellps="WGS84")
UTM = Affine(10, 0, 499_000, 0, -10, 1_700_000)


def tables(run, name):
    """Return a table's rows; those of the CSV must be the same."""
    folder = run.product("statistics")
    table = pq.read_table(folder / f"{name}.parquet")
    text = pyarrow.csv.read_csv(folder / f"{name}.csv")
    assert text.column_names == table.column_names
    assert text.num_rows == table.num_rows
    return table.to_pylist()


def write_polygons(path, shapes, crs="EPSG:4326", **fields):
    pyogrio.raw.write(
        path, shapely.to_wkb(np.array(shapes)), [np.array(each) for each in fields.values()], list(fields),
        geometry_type="Unknown", crs=crs, layer="places",
    )  # fmt: skip
    return path


def geodesic(crs, x, y):
    """Return the true area of a polygon whose sides are straight in a projection."""
    along = np.linspace(0, 1, 200)[:-1]
    ring = [
        (x[i] + (x[(i + 1) % len(x)] - x[i]) * along, y[i] + (y[(i + 1) % len(y)] - y[i]) * along)
        for i in range(len(x))
    ]
    lon, lat = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(*np.hstack(ring))
    return abs(GEOD.polygon_area_perimeter(lon, lat)[0])


@pytest.mark.parametrize("crs", ["EPSG:3031", "EPSG:32758", "EPSG:3857"])
def test_areas_of_a_simulated_scene_are_true_within_a_thousandth(tmp_path, monkeypatch, crs):
    """Each row of a class's pixels is a strip whose area Geod knows."""
    spec = SceneSpec(scene_id="sim", height=96, width=130, seed=3, nodata=0.2)
    classes = simulate(spec).truth
    x, y = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(164.9, -74.6)
    transform = Affine(400, 0, x, 0, -400, y)
    factory = MapFactory(tmp_path / "run")
    factory.add("sim", classes, crs, transform)
    products_here(monkeypatch, factory.write(), "statistics")
    (row,) = tables(factory.run, "scenes")
    for code, name in zip((0, 1, 2, IGNORE), CLASSES, strict=True):
        true = 0.0
        for line, values in enumerate(classes):
            edges = np.flatnonzero(np.diff(np.concatenate([[False], values == code, [False]])))
            for left, right in edges.reshape(-1, 2):
                corners = [
                    transform @ at
                    for at in ((left, line), (right, line), (right, line + 1), (left, line + 1))
                ]
                true += geodesic(crs, *np.array(corners).T)
        assert row[f"{name}_m2"] == pytest.approx(true, rel=1e-3)
        assert row[f"{name}_pixels"] == np.count_nonzero(classes == code)


@pytest.fixture
def scene(tmp_path):
    factory = MapFactory(tmp_path / "run")
    rng = np.random.default_rng(7)
    classes = rng.choice(np.array([0, 1, 2, IGNORE], np.uint8), (200, 260))
    status = np.where(
        classes == IGNORE, rng.choice([1, 2, 3], classes.shape), rng.choice([0, 4, 5], classes.shape)
    )
    factory.add("one", classes, "EPSG:32758", UTM, status=status.astype(np.uint8))
    return factory, classes, status


def test_reasons_add_up(scene, monkeypatch):
    factory, _, status = scene
    products_here(monkeypatch, factory.write(), "statistics")
    (row,) = tables(factory.run, "scenes")
    assert sum(row[f"{name}_m2"] for name in ("nodata", "cloud", "land")) == pytest.approx(
        row["unclassified_m2"]
    )
    pixel = row["water_m2"] / row["water_pixels"]
    for name, code in (("cloud", PixelStatus.CLOUD), ("classified_in_doubt", PixelStatus.DOUBT)):
        assert row[f"{name}_m2"] == pytest.approx(np.count_nonzero(status == code) * pixel, rel=1e-3)


def test_polygons_count_the_pixels_that_shapely_finds_in_them(scene, monkeypatch, tmp_path):
    factory, classes, _ = scene
    x, y = UTM @ (130, 100)
    shapes = [
        shapely.Point(x, y).buffer(600),
        shapely.box(x - 1200, y - 900, x - 700, y + 300) | shapely.box(x + 100, y, x + 900, y + 950),
        shapely.box(x + 10_000, y, x + 11_000, y + 100),
    ]  # fmt: skip
    path = write_polygons(tmp_path / "places.gpkg", shapes, "EPSG:32758", place=["disc", "two", "far"])
    settings = {"polygons": path, "name": "place"}
    products_here(monkeypatch, factory.write(), "statistics", statistics=settings)
    rows = {row["name"]: row for row in tables(factory.run, "polygons")}
    assert rows.keys() == {"disc", "two"}
    columns, lines = np.meshgrid(np.arange(260) + 0.5, np.arange(200) + 0.5)
    places = UTM @ (columns, lines)
    for shape, name in zip(shapes, ("disc", "two"), strict=False):
        inside = shapely.contains_xy(shape, *places)
        counts = [np.count_nonzero(classes[inside] == code) for code in (0, 1, 2, IGNORE)]
        assert [rows[name][f"{each}_pixels"] for each in CLASSES] == counts
        area = sum(rows[name][f"{each}_m2"] for each in CLASSES)
        parts = shapely.get_parts(shape)
        true = sum(geodesic("EPSG:32758", *np.array(part.exterior.xy)) for part in parts)
        assert area == pytest.approx(true, rel=5e-3)
    done = (factory.run.product("statistics") / "done.json").read_text()
    assert '"polygons_outside": [\n    3\n  ]' in done


def test_a_polygon_over_180_degrees_and_one_around_the_pole(tmp_path, monkeypatch):
    factory = MapFactory(tmp_path / "run")
    ice = np.full((1000, 1000), 2, np.uint8)
    factory.add("pole", ice, "EPSG:3031", Affine(2000, 0, -1e6, 0, -2000, 1e6))
    shapes = [
        shapely.box(170, -84, 190, -82),  # goes on beyond 180
        shapely.box(-180, -90, 180, -86),  # goes down to the pole
    ]
    path = write_polygons(tmp_path / "places.geojson", shapes)
    products_here(monkeypatch, factory.write(), "statistics", statistics={"polygons": path, "cell_km": None})
    rows = tables(factory.run, "polygons")
    lon = np.linspace(170, 190, 400)
    north, south = (
        abs(GEOD.polygon_area_perimeter([*lon, 180], [*(lon * 0 + edge), -90])[0]) for edge in (-82, -84)
    )
    assert rows[0]["thick_ice_m2"] == pytest.approx(north - south, rel=2e-3)
    around = np.linspace(-180, 180, 3601)[:-1]
    cap = abs(GEOD.polygon_area_perimeter(around, around * 0 - 86)[0])
    assert rows[1]["thick_ice_m2"] == pytest.approx(min(cap, 5.1e14 - cap), rel=2e-3)
    assert not (factory.run.product("statistics") / "cells.csv").exists()


def test_cells_hold_all_of_the_scene_each_pixel_once(scene, monkeypatch):
    factory, _, _ = scene
    products_here(monkeypatch, factory.write(), "statistics", statistics={"cell_km": 1})
    (whole,) = tables(factory.run, "scenes")
    cells = tables(factory.run, "cells")
    for name in CLASSES:
        assert sum(row[f"{name}_pixels"] for row in cells) == whole[f"{name}_pixels"]
        assert sum(row[f"{name}_m2"] for row in cells) == pytest.approx(whole[f"{name}_m2"], rel=1e-12)
    columns, lines = np.meshgrid(np.arange(260) + 0.5, np.arange(200) + 0.5)
    to = pyproj.Transformer.from_crs("EPSG:32758", "EPSG:6932", always_xy=True)
    x, y = to.transform(*(UTM @ (columns, lines)))
    for row in cells:
        inside = (np.abs(x - row["x"]) < 500) & (np.abs(y - row["y"]) < 500)
        assert sum(row[f"{name}_pixels"] for name in CLASSES) == np.count_nonzero(inside)
        back = pyproj.Transformer.from_crs(row["crs"], "EPSG:4326", always_xy=True).transform(
            row["x"], row["y"]
        )
        assert (row["longitude"], row["latitude"]) == pytest.approx(back)


@pytest.mark.parametrize("size", [32, 70, 101])
def test_blocks_change_no_sum(scene, tmp_path, size):
    factory, _, _ = scene
    run = factory.write()
    x, y = UTM @ (130, 100)
    path = write_polygons(tmp_path / "places.gpkg", [shapely.Point(x, y).buffer(800)], "EPSG:32758", n=["a"])
    layer = open_layer(path, None, POLYGONS)
    (found,), _ = find_maps(run, ProductsConfig(run=run.root))
    for one, other in zip(count_map(found, layer, 1), count_map(found, layer, 1, size=size), strict=True):
        assert (one.sums.areas == other.sums.areas).all()
        assert (one.sums.pixels == other.sums.pixels).all()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"name": "colour"}, "no field 'colour', only: n"),
        ({"layer": "other"}, r"the polygon file .* has no layer 'other'.*statistics\.layer"),
        ({"crs": "EPSG:99999"}, r"statistics\.crs is EPSG:99999"),
        ({}, "none of the 1 polygon.* holds a pixel"),
    ],
)
def test_what_cannot_be_counted_is_refused(scene, tmp_path, monkeypatch, settings, said):
    factory, _, _ = scene
    path = write_polygons(tmp_path / "places.gpkg", [shapely.box(0, 0, 1, 1)], n=["a"])
    with pytest.raises(ConfigError, match=said):
        products_here(monkeypatch, factory.write(), "statistics", statistics={"polygons": path} | settings)
    assert not factory.run.product("statistics").exists()


def test_a_map_without_place_has_pixels_and_no_areas(tmp_path, monkeypatch):
    factory = MapFactory(tmp_path / "run")
    factory.add("nowhere", np.full((30, 40), 1, np.uint8), None, None)
    assert products_here(monkeypatch, factory.write(), "statistics").exit_code == 0
    (row,) = tables(factory.run, "scenes")
    assert row["thin_ice_pixels"] == 1200
    assert row["thin_ice_m2"] is None
    assert tables(factory.run, "cells") == []


def test_a_map_without_place_is_told_where_polygons_are_asked_of_it(scene, tmp_path, monkeypatch):
    factory = MapFactory(tmp_path / "elsewhere")
    factory.add("nowhere", np.full((30, 40), 1, np.uint8), None, None)
    factory.add(
        "there", np.full((30, 40), 1, np.uint8), "EPSG:3031", Affine(10, 0, 500_000, 0, -10, -1_500_000)
    )
    ring = [[150, -80], [179, -80], [179, -70], [150, -70], [150, -80]]
    square = {"type": "Polygon", "coordinates": [ring]}
    feature = {"type": "Feature", "properties": {}, "geometry": square}
    path = tmp_path / "polygons.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    for _ in range(2):  # and again where all is done
        outcome = products_here(
            monkeypatch, factory.write(), "statistics", statistics={"polygons": str(path)}
        )
        [failure] = outcome.failures
        assert failure.scene == "nowhere"
        assert "in no polygon" in failure.reason
        assert outcome.exit_code == 3
    assert len(tables(factory.run, "scenes")) == 2
    assert [row["scene_id"] for row in tables(factory.run, "polygons")] == ["there"]
