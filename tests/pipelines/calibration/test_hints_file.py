"""Hints in vector files: read by what they are called, and found in scenes by their own coordinates."""

import json
import sqlite3

import numpy as np
import pytest
import shapely
from array_scene import ArrayScene
from rasterio.crs import CRS
from rasterio.transform import from_origin
from rasterio.warp import transform as reproject

from labeling.errors import ConfigError
from pipelines.calibration.config import HintSettings
from pipelines.calibration.hints_file import Hint, pixels_of, read_hints

POLAR = CRS.from_epsg(3031)
GRID = from_origin(300_000, -1_200_000, 10, 10)
INFO = ArrayScene(np.zeros((3, 80, 100), np.uint8), crs=POLAR.to_wkt(), transform=list(GRID)[:6]).info


def geojson(file, *features, **properties):
    """Write (class, geometry) features as GeoJSON with Python's own json."""
    content = [
        {"type": "Feature", "properties": {properties.get("column", "class"): ice}, "geometry": shape}
        for ice, shape in features
    ]
    file.write_text(json.dumps({"type": "FeatureCollection", "features": content}))
    return file


def point(x, y):
    return {"type": "Point", "coordinates": [x, y]}


def read(file, **options):
    return read_hints(HintSettings(file=file, **options))


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("water", 0),
        ("Open Water", 0),
        ("open_water", 0),
        ("thin-ice", 1),
        ("THICK", 2),
        (0, 0),
        (1, 1),
        ("2", 2),
        (2.0, 2),
    ],
)
def test_classes_have_names_and_codes(tmp_path, name, code):
    [hint] = read(geojson(tmp_path / "a.geojson", (name, point(170, -75)))).hints
    assert (hint.number, hint.ice) == (1, code)


def test_the_column_that_holds_classes_is_found_or_named(tmp_path):
    feature = {"type": "Feature", "geometry": point(170, -75)}
    features = [feature | {"properties": {"name": "floe 7", "Label": "thick", "sure": "thin"}}]
    file = tmp_path / "a.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    assert read(file).hints[0].ice == 2
    assert read(file, column="sure").hints[0].ice == 1
    with pytest.raises(ConfigError, match=r"no column nothing, only: name, Label, sure.*--hints-column"):
        read(file, column="nothing")
    with pytest.raises(ConfigError, match=r"says 'floe_7'.*water.*Correct it"):
        read(file, column="name")


def geopackage(file, rows, epsg):
    """Write a GeoPackage of points with SQLite alone, as the standard has it."""
    with sqlite3.connect(file) as base:
        base.executescript(
            """
            PRAGMA application_id = 0x47504B47; PRAGMA user_version = 10300;
            CREATE TABLE gpkg_spatial_ref_sys (srs_name TEXT, srs_id INTEGER PRIMARY KEY, organization TEXT,
              organization_coordsys_id INTEGER, definition TEXT, description TEXT);
            CREATE TABLE gpkg_contents (table_name TEXT PRIMARY KEY, data_type TEXT, identifier TEXT,
              description TEXT, last_change DATETIME DEFAULT '2024-01-01T00:00:00.000Z', min_x DOUBLE,
              min_y DOUBLE, max_x DOUBLE, max_y DOUBLE, srs_id INTEGER);
            CREATE TABLE gpkg_geometry_columns (table_name TEXT, column_name TEXT, geometry_type_name TEXT,
              srs_id INTEGER, z TINYINT, m TINYINT);
            CREATE TABLE hints (fid INTEGER PRIMARY KEY, geom BLOB, class TEXT);
            INSERT INTO gpkg_contents (table_name, data_type, identifier, srs_id)
              VALUES ('hints', 'features', 'hints', 1);
            INSERT INTO gpkg_geometry_columns VALUES ('hints', 'geom', 'POINT', 1, 0, 0);
            """
        )
        definition = CRS.from_epsg(epsg).to_wkt()
        base.execute("INSERT INTO gpkg_spatial_ref_sys VALUES ('x', 1, 'EPSG', ?, ?, '')", (epsg, definition))
        for x, y, ice in rows:
            blob = (
                b"GP\x00\x01" + (1).to_bytes(4, "little") + shapely.to_wkb(shapely.Point(x, y), byte_order=1)
            )
            base.execute("INSERT INTO hints (geom, class) VALUES (?, ?)", (blob, ice))
    return file


def test_a_point_is_the_pixel_that_holds_it_whatever_its_crs(tmp_path):
    places = [(0, 0), (79, 99), (12, 34)]
    x, y = zip(*(GRID @ (column + 0.5, row + 0.5) for row, column in places), strict=True)
    for epsg in (3031, 4326, 3857, 32758):
        there = zip(*reproject(POLAR, CRS.from_epsg(epsg), x, y), strict=True)
        file = geopackage(tmp_path / f"{epsg}.gpkg", [(*place, "thin") for place in there], epsg)
        found = read(file)
        pixels = [pixels_of(hint, found.crs, INFO) for hint in found.hints]
        assert [(int(p.rows[0]), int(p.columns[0])) for p in pixels] == places


def test_a_polygon_is_the_pixels_whose_centre_it_holds():
    square = shapely.box(*(GRID @ (10.2, 30.8)), *(GRID @ (13.7, 28.4)))
    rows, columns = pixels_of(Hint(1, 1, shapely.to_wkb(square)), "EPSG:3031", INFO)
    assert sorted(zip(rows.tolist(), columns.tolist(), strict=True)) == [
        (row, column)
        for row in (28, 29, 30)
        for column in (10, 11, 12, 13)
        if row + 0.5 < 30.8 and column + 0.5 > 10.2
    ]
    tiny = shapely.box(*(GRID @ (10.1, 30.3)), *(GRID @ (10.2, 30.2)))
    rows, columns = pixels_of(Hint(1, 1, shapely.to_wkb(tiny)), "EPSG:3031", INFO)
    assert (rows.tolist(), columns.tolist()) == ([30], [10])


def test_what_reaches_over_the_edge_is_cut_and_what_lies_outside_is_nothing():
    over = shapely.box(*(GRID @ (-5, 3)), *(GRID @ (2, -4)))
    rows, columns = pixels_of(Hint(1, 1, shapely.to_wkb(over)), "EPSG:3031", INFO)
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == {
        (r, c) for r in range(3) for c in range(2)
    }
    outside = shapely.Point(GRID @ (100.5, 10))
    assert pixels_of(Hint(1, 1, shapely.to_wkb(outside)), "EPSG:3031", INFO) is None
    nowhere = ArrayScene(np.zeros((3, 8, 8), np.uint8)).info
    assert pixels_of(Hint(1, 1, shapely.to_wkb(over)), "EPSG:3031", nowhere) is None


def test_files_that_are_no_hints_are_refused_with_the_way_out(tmp_path):
    assert read_hints(HintSettings()) is None
    with pytest.raises(ConfigError, match="does not exist"):
        read(tmp_path / "none.gpkg")
    (tmp_path / "text.gpkg").write_text("no database")
    with pytest.raises(ConfigError, match="cannot read the hints file"):
        read(tmp_path / "text.gpkg")
    line = {"type": "LineString", "coordinates": [[170, -75], [171, -75]]}
    with pytest.raises(ConfigError, match=r"hint 1 .* is a LineString\. Draw hints as points or polygons"):
        read(geojson(tmp_path / "line.geojson", ("thin", line)))
    with pytest.raises(ConfigError, match="no column"):
        read(geojson(tmp_path / "other.geojson", ("thin", point(170, -75)), column="remark"))
