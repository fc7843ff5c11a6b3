import tracemalloc
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pyogrio
import pytest
import rasterio.features
import rasterio.warp
import shapely
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from rasterio.crs import CRS

import labeling.masks.inside
from labeling.errors import ConfigError
from labeling.masks.inside import PixelPlaces
from labeling.masks.land import LandSettings, find_land, vector_state
from labeling.masks.layers import VectorLayer, open_layer
from labeling.masks.polygons import land_mask

LONLAT = CRS.from_epsg(4326)
WORLD = shapely.box(-180, -90, 180, 90)


class Frame(NamedTuple):
    """A scene's grid."""

    crs: CRS
    transform: Affine
    height: int
    width: int

    @property
    def centres(self):
        """x, y of the pixels' centres, (height, width) each."""
        rows, columns = np.mgrid[: self.height, : self.width] + 0.5
        t = self.transform
        return t.a * columns + t.b * rows + t.c, t.d * columns + t.e * rows + t.f

    def place(self, crs, around=None):
        """x, y of the pixels' centres in another CRS; longitudes within half a turn of `around`."""
        x, y = self.centres
        x, y = np.array(rasterio.warp.transform(self.crs, crs, x.ravel(), y.ravel())).reshape(2, *x.shape)
        return (x if around is None else (x - around + 180) % 360 - 180 + around), y


def frame_at(epsg, lon, lat, *, pixel, height=70, width=90, turn=0.0):
    """A scene around a place, its rows turned by so many degrees."""
    crs = CRS.from_epsg(epsg)
    (x,), (y,) = rasterio.warp.transform(LONLAT, crs, [lon], [lat])
    middle = Affine.translation(-width / 2, -height / 2)
    return Frame(
        crs,
        Affine.translation(x, y) @ Affine.rotation(turn) @ Affine.scale(pixel, -pixel) @ middle,
        height,
        width,
    )


# All of them hold a piece of the antimeridian, one a pole too.
FRAMES = {
    "UTM zone 1": frame_at(32701, -180, -77, pixel=400),
    "UTM zone 60": frame_at(32760, 180, -77, pixel=400),
    "UTM zone 1, turned": frame_at(32701, 180, -77, pixel=400, turn=30),
    "Antarctic": frame_at(3031, 180, -77, pixel=400),
    "Ross Sea": frame_at(3031, 176, -77, pixel=3000),
    "NSIDC south": frame_at(3976, 180, -77, pixel=400),
    "NSIDC north": frame_at(3413, 180, 77, pixel=400),
    "Pole": frame_at(3031, 0, -90, pixel=40000),
    "Degrees": frame_at(4326, 180, -77, pixel=0.01),
}
every_frame = pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES.keys())


def write(path, shapes, crs="EPSG:4326", layer=None, kind=None, **options):
    encoded = np.array([shapely.to_wkb(shape) for shape in shapes], object)
    kinds = {shape.geom_type for shape in shapes}
    kind = kind or (kinds.pop() if len(kinds) == 1 else "Unknown")
    pyogrio.raw.write(path, encoded, [], [], geometry_type=kind, crs=crs, layer=layer, **options)
    return path


def mask_of(path, frame, layer=None, grow=0):
    return land_mask(open_layer(path, layer), **frame._asdict(), grow=grow)


def cut_at_180(shape):
    """Cut a shape whose longitudes go on beyond 180 into polygons within -180..180."""
    shifted = [shapely.transform(shape, lambda p, t=turn: p - (t, 0)) for turn in (-360, 0, 360)]
    parts = shapely.get_parts(shapely.intersection(shifted, WORLD))
    return [part for part in parts if part.geom_type == "Polygon" and part.area > 0]


# A coast with bays, an island and a lake around (180, -77); mirrored for the north.
SHORE = [
    (176, -80),
    (176, -77),
    (178.6, -77.1),
    (179.5, -76.8),
    (180.3, -77.04),
    (181.2, -76.9),
    (184, -77),
    (184, -80),
]
LAKE = [(179.2, -77.2), (180.4, -77.1), (180.2, -77.3)]
COAST = shapely.union(shapely.Polygon(SHORE, [LAKE]), shapely.box(180.2, -76.96, 180.6, -76.9))


def coast_for(frame):
    north = frame.place(LONLAT)[1].mean() > 0
    return shapely.transform(COAST, lambda p: p * (1, -1)) if north else COAST


def inside(shape, frame, crs=LONLAT, around=180):
    """Point in polygon for every pixel's centre, and which are too near to an edge to tell."""
    x, y = frame.place(crs, around)
    return shapely.contains_xy(shape, x, y), shapely.distance(shapely.points(x, y), shape.boundary) < 1e-7


# --- one pixel at a time ---


@st.composite
def polygons(draw):
    """Stars of any size with a hole now and then, around (180, -77), longitudes going on beyond 180."""
    shapes = []
    for _ in range(draw(st.integers(1, 4))):
        centre = draw(st.tuples(st.floats(178, 182), st.floats(-77.6, -76.4)))
        radii = np.array(draw(st.lists(st.floats(0.02, 1), min_size=3, max_size=9)))
        angles = np.linspace(0, 2 * np.pi, len(radii), endpoint=False)
        ring = np.stack([3 * radii * np.cos(angles), radii * np.sin(angles)], 1) * draw(
            st.sampled_from([1, 0.1])
        )
        hole = [0.5 * ring + centre] if draw(st.booleans()) else []
        shapes.append(shapely.Polygon(ring + centre, hole))
    return shapes


@pytest.mark.parametrize("name", ["UTM zone 1", "UTM zone 1, turned", "Antarctic", "Ross Sea", "Degrees"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shapes=polygons(), cut=st.booleans())
def test_a_pixel_is_land_when_its_centre_is_in_a_polygon(name, shapes, cut, tmp_path):
    frame = FRAMES[name]
    drawn = [part for shape in shapes for part in cut_at_180(shape)] if cut else shapes
    found = mask_of(write(tmp_path / "land.fgb", drawn), frame)
    expected, unsure = np.zeros((2, frame.height, frame.width), bool)
    for shape in shapes:
        here, near = inside(shape, frame)
        expected |= here
        unsure |= near
    np.testing.assert_array_equal(found[~unsure], expected[~unsure])


@pytest.mark.parametrize("sides", [(1024, 16), (64, 8), (16,), (3, 1), (1,)])
def test_tiles_do_not_matter(tmp_path, monkeypatch, sides):
    path = write(tmp_path / "land.fgb", [COAST])
    expected = [mask_of(path, frame) for frame in FRAMES.values()]
    monkeypatch.setattr(labeling.masks.inside, "SIDES", sides)
    monkeypatch.setattr(labeling.masks.inside, "CHUNK", 7)
    for frame, mask in zip(FRAMES.values(), expected, strict=True):
        np.testing.assert_array_equal(mask_of(path, frame), mask)


@every_frame
@pytest.mark.parametrize("epsg", [4326, 3031, 3857])
def test_a_box_holds_its_tile(frame, epsg):
    layer = VectorLayer(Path("any"), "any", f"EPSG:{epsg}")
    grid = PixelPlaces(layer, frame.crs, frame.transform)
    rows, columns = (corner.ravel() for corner in np.mgrid[:64:16, :80:16])
    west, south, east, north = shapely.bounds(grid.boxes(rows, columns, (16, 16))).T[..., None]
    fine = np.mgrid[:16:50j, :16:50j].reshape(2, -1)
    x, y = grid.place(rows[:, None] + fine[0], columns[:, None] + fine[1])
    # Web Mercator ends before the poles, where it runs to infinity.
    known = np.abs(y) < (2.1e7 if epsg == 3857 else np.inf)
    assert known.mean() > 0.9
    assert ((west <= x) & (x <= east) & (south <= y) & (y <= north))[known].all()
    if epsg == 4326:
        assert (np.abs([west, east]) <= 180).all()
        # Longitudes start anew at 180, so near it a tile can be at both ends.
        assert ((west == -180) == (east == 180)).all()
        assert (west == -180).any()


def test_agrees_with_gdal_where_the_edges_are_straight_in_both(tmp_path):
    frame = frame_at(32758, 164, -77, pixel=10, height=300, width=400)
    x, y = frame.transform * (200, 150)
    ring = np.random.default_rng(0).normal((x, y), 700, (40, 2))
    shape = shapely.concave_hull(shapely.MultiPoint(ring), 0.2)
    gdal = rasterio.features.geometry_mask([shape], (300, 400), frame.transform, invert=True)
    np.testing.assert_array_equal(mask_of(write(tmp_path / "land.gpkg", [shape], "EPSG:32758"), frame), gdal)
    assert 0.05 < gdal.mean() < 0.95


# --- the antimeridian and the poles ---


@every_frame
def test_every_way_to_draw_across_180_is_the_same(tmp_path, frame):
    coast = coast_for(frame)
    expected, unsure = inside(coast, frame)
    west = shapely.transform(coast, lambda p: p - (360, 0))
    cut = cut_at_180(coast)
    assert len(cut) == 3  # two sides, and the island east of 180
    ways = {"beyond": [coast], "west": [west], "cut": cut, "parts": [shapely.MultiPolygon(cut)]}
    for name, shapes in ways.items():
        found = mask_of(write(tmp_path / f"{name}.fgb", shapes), frame)
        np.testing.assert_array_equal(found[~unsure], expected[~unsure], err_msg=name)
        assert 0 < found.mean() < 1


@every_frame
def test_land_around_a_pole(tmp_path, frame):
    sign = np.sign(frame.place(LONLAT)[1].mean())
    lons = np.linspace(-180, 180, 73)
    lats = sign * (77 + 2 * np.cos(np.radians(5 * lons)) - 2 * np.cos(np.radians(5 * 180)))
    drawn = shapely.Polygon([*zip(lons, lats, strict=True), (180, sign * 90), (-180, sign * 90)])
    found = mask_of(write(tmp_path / "land.geojson", [drawn], COORDINATE_PRECISION=12), frame)
    lon, lat = frame.place(LONLAT, 0)
    shore = np.interp(lon, lons, lats)
    clear = np.abs(shore - lat) > 1e-7
    np.testing.assert_array_equal(found[clear], (sign * lat > sign * shore)[clear])
    assert 0 < found.mean() < 1


@pytest.mark.parametrize("epsg", [3031, 3976, 3857])
def test_a_projected_file_under_scenes_across_180(tmp_path, epsg):
    crs = CRS.from_epsg(epsg)
    (x,), (y,) = rasterio.warp.transform(LONLAT, crs, [179.5], [-77])
    for name in ("UTM zone 1", "UTM zone 60", "Antarctic", "Ross Sea", "Pole", "Degrees"):
        frame, size = FRAMES[name], 1e6 if name == "Pole" else 2e4
        land = shapely.box(x - size, y - size / 2, x + size, y + size)
        found = mask_of(write(tmp_path / "land.fgb", [land], f"EPSG:{epsg}"), frame)
        np.testing.assert_array_equal(found, shapely.contains_xy(land, *frame.place(crs)), err_msg=name)
        assert found.any()


def test_an_edge_along_a_parallel_lies_on_the_parallel(tmp_path):
    frame = FRAMES["Ross Sea"]
    drawn = shapely.box(120, -80, 240, -76)
    found = mask_of(write(tmp_path / "land.gpkg", [drawn]), frame)
    lat = frame.place(LONLAT)[1]
    np.testing.assert_array_equal(found, (lat < -76) & (lat > -80))
    corners = rasterio.warp.transform(LONLAT, frame.crs, *np.array(drawn.exterior.coords).T)
    naive = rasterio.features.geometry_mask(
        [shapely.Polygon(zip(*corners, strict=True))], found.shape, frame.transform, invert=True
    )
    assert (found != naive).mean() > 0.05  # what projecting the corners alone would give


def test_longitudes_from_0_to_360(tmp_path):
    frame = frame_at(32722, -51, -77, pixel=400)
    expected = mask_of(write(tmp_path / "a.fgb", [shapely.box(-52, -78, -51, -77)]), frame)
    found = mask_of(write(tmp_path / "b.fgb", [shapely.box(308, -78, 309, -77)]), frame)
    np.testing.assert_array_equal(found, expected)
    assert 0 < found.mean() < 1


# --- polygons of all kinds ---


@pytest.mark.parametrize(
    "name", ["land.gpkg", "land.geojson", "land.shp", "land.fgb", "land.gml", "land.shp.zip"]
)
def test_formats(tmp_path, name):
    frame = FRAMES["UTM zone 1"]
    path = write(tmp_path / name, cut_at_180(COAST), driver="ESRI Shapefile" if "shp" in name else None)
    expected, unsure = inside(COAST, frame)
    unsure |= shapely.dwithin(
        shapely.points(*frame.place(LONLAT, 180)), COAST.boundary, 1e-6
    )  # GeoJSON's digits
    np.testing.assert_array_equal(mask_of(path, frame)[~unsure], expected[~unsure])


def test_holes_parts_lines_and_nothing(tmp_path):
    """Holes are not land, all parts are, and what is no area is passed over."""
    frame = FRAMES["Degrees"]
    ring = shapely.box(179.7, -77.3, 180.3, -76.7).difference(shapely.box(179.9, -77.1, 180.1, -76.9))
    parts = [ring, shapely.box(179.95, -77.05, 180.0, -77.0)]
    expected = inside(shapely.union_all(parts), frame)[0]
    for name, shapes in {
        "polygons": parts,
        "multi": [shapely.MultiPolygon(parts)],
        "mixed": [shapely.LineString([(179, -77), (181, -77)]), *parts, shapely.Point(180.2, -76.5)],
        "collection": [shapely.GeometryCollection([shapely.Point(0, 0), shapely.MultiPolygon(parts)])],
        "empty": [*parts, shapely.Polygon()],
        "high": [shapely.force_3d(part, 50.0) for part in parts],
    }.items():
        path = write(tmp_path / f"{name}.gpkg", shapes, kind="Unknown")
        np.testing.assert_array_equal(mask_of(path, frame), expected, err_msg=name)
    assert expected.any()


def test_invalid_polygons_are_repaired(tmp_path):
    frame = FRAMES["Degrees"]
    tie = shapely.Polygon([(179.7, -77.3), (180.3, -76.7), (180.3, -77.3), (179.7, -76.7)])
    touching = shapely.Polygon(  # a bay closed by a single point
        [(179.6, -77), (180, -76.7), (180.4, -77), (180.1, -76.9), (180, -76.7), (179.9, -76.9)]
    )
    for shape, halves in (
        (tie, [shapely.Polygon([(179.7, -77.3), (180, -77), (179.7, -76.7)]),
               shapely.Polygon([(180.3, -77.3), (180, -77), (180.3, -76.7)])]),
        (touching, [shapely.Polygon([(179.6, -77), (180, -76.7), (179.9, -76.9)]),
                    shapely.Polygon([(180.4, -77), (180, -76.7), (180.1, -76.9)])]),
    ):  # fmt: skip
        assert not shape.is_valid
        expected, unsure = inside(shapely.union_all(halves), frame)
        found = mask_of(write(tmp_path / "land.gpkg", [shape]), frame)
        np.testing.assert_array_equal(found[~unsure], expected[~unsure])
        assert found.any()


@every_frame
def test_the_rest_of_the_globe_does_not_disturb(tmp_path, frame):
    coast = coast_for(frame)
    far = [
        shapely.box(-60, -60, 60, 60), shapely.box(-180, 85, 180, 90), shapely.box(-90, -89.9, 90, -89),
        shapely.box(-170, -10, 170, 10),
    ]  # fmt: skip
    far = [shape for shape in far if not shapely.contains_xy(shape, *frame.place(LONLAT)).any()]
    alone = mask_of(write(tmp_path / "a.fgb", [coast]), frame)
    np.testing.assert_array_equal(mask_of(write(tmp_path / "b.fgb", [*far, coast]), frame), alone)
    nothing = mask_of(write(tmp_path / "c.fgb", far), frame)
    assert nothing.shape == (frame.height, frame.width)
    assert nothing.dtype == np.bool_
    assert not nothing.any()


def test_no_file_is_no_land():
    assert find_land(None, LandSettings()) is None


@pytest.mark.parametrize("grow", [1, 7])
def test_grown_land_comes_from_outside_too(tmp_path, grow):
    frame = FRAMES["Antarctic"]
    path = write(tmp_path / "land.fgb", [COAST])
    around = Frame(
        frame.crs, frame.transform @ Affine.translation(-50, -50), frame.height + 100, frame.width + 100
    )
    wide = cv2.dilate(mask_of(path, around).astype(np.uint8), np.ones((2 * grow + 1, 2 * grow + 1), np.uint8))
    found = mask_of(path, frame, grow=grow)
    np.testing.assert_array_equal(found, wide[50:-50, 50:-50].astype(bool))
    assert found.shape == (frame.height, frame.width)
    assert found.sum() > mask_of(path, frame).sum()


def test_memory_of_a_whole_scene_stays_small(tmp_path):
    path = write(tmp_path / "land.fgb", [COAST])
    frame = frame_at(32701, 180, -77, pixel=10, height=10980, width=10980)
    tracemalloc.start()
    mask = mask_of(path, frame, grow=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0 < mask.mean() < 1
    assert peak < mask.nbytes + 100e6


# --- what is refused ---


def test_a_missing_file(tmp_path):
    with pytest.raises(ConfigError, match=r"gone\.gpkg does not exist.*land\.vector"):
        mask_of(tmp_path / "gone.gpkg", FRAMES["Pole"])
    with pytest.raises(ConfigError, match=r"gone\.shp"):
        vector_state(tmp_path / "gone.shp")


@pytest.mark.parametrize("content", ["", "hello", '{"type": "FeatureCollection", "features": [{'])
def test_a_file_that_is_no_vector_file(tmp_path, content):
    (tmp_path / "land.geojson").write_text(content)
    with pytest.raises(ConfigError, match=r"cannot read the land file .*land\.geojson"):
        open_layer(tmp_path / "land.geojson")


def test_a_damaged_file(tmp_path):
    path = write(tmp_path / "land.fgb", [COAST] * 50)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(ConfigError, match=r"cannot read .*land\.fgb"):
        mask_of(path, FRAMES["Antarctic"])


def test_layers_are_named(tmp_path):
    path = write(tmp_path / "land.gpkg", [shapely.box(179, -78, 181, -77)], layer="shelf")
    assert open_layer(path).name == "shelf"
    write(path, [COAST], layer="coast", append=True)
    with pytest.raises(ConfigError, match=r"2 layers: shelf, coast. Name one as land\.layer"):
        open_layer(path)
    with pytest.raises(ConfigError, match="no layer 'ice', only: shelf, coast"):
        open_layer(path, "ice")
    frame = FRAMES["Antarctic"]
    expected, unsure = inside(COAST, frame)
    np.testing.assert_array_equal(mask_of(path, frame, layer="coast")[~unsure], expected[~unsure])


@pytest.mark.parametrize("shapes", [[], [shapely.LineString([(0, 0), (1, 1)])], [shapely.Point(0, 0)]])
@pytest.mark.parametrize("kind", ["Unknown", None])
def test_a_layer_without_polygons(tmp_path, shapes, kind):
    path = write(tmp_path / "land.gpkg", shapes, kind=kind or "Polygon" * (not shapes))
    with pytest.raises(ConfigError, match=f"layer 'land' of .* has no polygons .{len(shapes)} features"):
        open_layer(path)


def test_a_file_without_crs(tmp_path):
    path = write(tmp_path / "land.shp", [COAST])
    path.with_suffix(".prj").unlink()
    with pytest.raises(ConfigError, match="does not say which CRS"):
        open_layer(path)


def test_a_crs_without_relation_to_earth(tmp_path):
    path = write(tmp_path / "land.gpkg", [COAST], crs='ENGCRS["deck",EDATUM["ship"],CS[Cartesian,2],'
                 'AXIS["x",east],AXIS["y",north],LENGTHUNIT["metre",1]]')  # fmt: skip
    with pytest.raises(ConfigError, match=r"land\.gpkg has no known relation"):
        mask_of(path, FRAMES["Antarctic"])


def test_settings_are_strict():
    for wrong in ({"vectors": "a"}, {"grow": -1}):
        with pytest.raises(ValidationError):
            LandSettings(**wrong)


# --- state ---


def test_state_changes_with_any_file_of_a_shapefile(tmp_path):
    path = write(tmp_path / "land.shp", [COAST])
    (tmp_path / "other.txt").write_text("another file")
    before = vector_state(path)
    assert {"land.shp", "land.shx", "land.dbf", "land.prj"} <= before.keys()
    assert "other.txt" not in before
    assert before == vector_state(path)
    (tmp_path / "land.prj").write_text((tmp_path / "land.prj").read_text() + " ")
    assert vector_state(path) != before


def test_state_of_a_single_file_leaves_its_neighbours_out(tmp_path):
    path = write(tmp_path / "land.gpkg", [COAST])
    (tmp_path / "land.txt").write_text("notes")
    stat = path.stat()
    assert vector_state(path) == {"land.gpkg": [stat.st_size, stat.st_mtime_ns]}
