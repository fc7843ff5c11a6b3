"""Rows of floes, their outlines, and what they say together; GeoPackages with the same bytes each time."""

import numpy as np
import pyarrow as pa
import pyogrio
import pytest
import shapely
from affine import Affine
from rasterio.crs import CRS

from labeling.maps.floes.find import find_floes
from labeling.maps.floes.shapes import measure
from labeling.maps.floes.table import bins, floe_table, summary, whole_floes
from labeling.maps.geopackage import SHAPE, Layer, with_shapes, write_geopackage
from labeling.maps.ground import ground_at

UTM = CRS.from_epsg(32758)
GRID = Affine(10, 0, 500_000, 0, -10, 1_565_000)
SCALE = 0.9996**2  # of areas in the middle of a UTM zone

# Squares (row, column, side): whole ones, one at the border, one too small.
SQUARES = [(10, 10, 20), (10, 60, 30), (60, 10, 8), (80, 80, 20), (50, 70, 4)]


@pytest.fixture(scope="module")
def made():
    classes = np.zeros((100, 100), np.uint8)
    for row, column, side in SQUARES:
        classes[row : row + side, column : column + side] = 2
    classes[15:23, 15:23] = 0  # a hole too large to be filled
    floes = find_floes(classes)
    shapes = measure(floes.labels, len(floes.cut))
    ground = ground_at(UTM, GRID, shapes.rows, shapes.columns)
    kept = whole_floes(floes, shapes, 20)
    return floes, shapes, ground, floe_table(floes, shapes, ground, kept, GRID)


def test_rows_are_the_whole_floes_that_are_large_enough(made):
    *_, table = made
    assert sorted(table["pixels"].to_pylist()) == sorted([400 - 64, 900, 64])
    for row in table.to_pylist():
        assert row["area_m2"] == pytest.approx(row["pixels"] * 100 / SCALE, rel=1e-4)
        assert row["diameter_m"] == pytest.approx(2 * np.sqrt(row["area_m2"] / np.pi))


def test_outlines_are_those_of_the_pixels(made):
    *_, table = made
    found = {row["pixels"]: shapely.from_wkb(row[SHAPE]) for row in table.to_pylist()}
    assert found[900].equals(shapely.box(500_600, 1_564_900, 500_900, 1_564_600))
    hole = shapely.box(500_150, 1_564_850, 500_230, 1_564_770)
    assert found[336].equals(shapely.box(500_100, 1_564_900, 500_300, 1_564_700).difference(hole))


def test_the_summary_says_what_was_left_out(made):
    floes, shapes, ground, table = made
    said = summary(table, shapes, ground, floes, power_law_from=None)
    assert (said["floes"], said["cut_floes"], said["small_floes"]) == (3, 1, 1)
    areas = [said[name] * SCALE / 100 for name in ("floe_area_m2", "cut_area_m2", "small_area_m2")]
    assert areas == pytest.approx([336 + 900 + 64, 400, 16], rel=1e-4)
    assert said["largest_diameter_m"] == pytest.approx(2 * np.sqrt(90_000 / SCALE / np.pi), rel=1e-4)
    assert said["alpha"] is None  # three floes are no law
    counts = bins(table, [20, 150, 300])
    assert [row["floes"] for row in counts] == [1, 1, 1]
    assert counts[-1]["below_m"] is None


def test_a_map_without_floes_has_an_empty_table():
    floes = find_floes(np.zeros((20, 20), np.uint8))
    shapes = measure(floes.labels, 0)
    ground = ground_at(UTM, GRID, shapes.rows, shapes.columns)
    table = floe_table(floes, shapes, ground, whole_floes(floes, shapes, 1), GRID)
    assert table.num_rows == 0
    said = summary(table, shapes, ground, floes, power_law_from=None)
    assert said["floes"] == said["cut_floes"] == said["small_floes"] == 0
    assert said["median_diameter_m"] is None


def test_geopackages_hold_layers_and_do_not_change(tmp_path):
    shapes = [shapely.box(0, 0, 1, 2), shapely.box(5, 5, 6, 6)]
    rows = with_shapes(pa.table({"floe": [1, 2], "name": ["a", "ö"]}), shapes)
    polar = CRS.from_epsg(3031)
    layers = [
        Layer(name, part, crs.to_wkt(), "Polygon")
        for name, part, crs in [
            ("one", rows, UTM),
            ("two", rows, polar),
            ("one", rows, UTM),
            ("none", rows[:0], UTM),
        ]
    ]
    for name in ("a.gpkg", "b.gpkg"):
        write_geopackage(tmp_path / name, layers)
    assert (tmp_path / "a.gpkg").read_bytes() == (tmp_path / "b.gpkg").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.gpkg", "b.gpkg"]
    assert [name for name, _ in pyogrio.list_layers(tmp_path / "a.gpkg")] == ["one", "two", "none"]
    assert CRS.from_string(pyogrio.read_info(tmp_path / "a.gpkg", layer="two")["crs"]) == polar
    _, found = pyogrio.read_arrow(tmp_path / "a.gpkg", layer="one")
    assert found["name"].to_pylist() == ["a", "ö", "a", "ö"]
    read = shapely.from_wkb(found[SHAPE].to_pylist())
    assert shapely.equals(read, shapes * 2).all()
    assert pyogrio.read_info(tmp_path / "a.gpkg", layer="none")["features"] == 0
