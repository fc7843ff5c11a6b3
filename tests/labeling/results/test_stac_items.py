import hashlib
import json

import cv2
import numpy as np
import pystac
import pystac.validation.stac_validator
import pytest
import rasterio.warp
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pystac.extensions.classification import ClassificationExtension
from pystac.extensions.grid import GridExtension
from pystac.extensions.projection import ProjectionExtension
from pystac.extensions.render import RenderExtension
from pystac.extensions.sat import SatExtension
from pystac.extensions.view import ViewExtension
from rasterio.crs import CRS
from rasterio.windows import Window

from labeling.classes import IGNORE, PALETTES, IceClass
from labeling.files.cogs.legend import STATUS, class_legend
from labeling.files.cogs.names import write_names
from labeling.files.cogs.write import write_codes
from labeling.results.assets import ItemAsset, code_assets
from labeling.results.item import ITEM, footprint, write_item
from labeling.scenes.contract.scene import SceneInfo
from labeling.status import UNKNOWN, PixelStatus

LONLAT = CRS.from_epsg(4326)
PIXELS = {"water": 100, "thin_ice": 250, "thick_ice": 3000, "ignore": 7}
QUICKLOOK = ItemAsset("quicklook.png", "Scene beside its labels", ("overview",))

# A scene's grid by name: EPSG code, transform, height, width.
GRIDS = {
    "UTM zone 1": (32701, Affine(100, 0, 399960, 0, -100, 1500000), 1098, 1098),
    "UTM zone 58": (32758, Affine(100, 0, 399960, 0, -100, 1500000), 1098, 1098),
    "Ross Sea": (3031, Affine(500, 0, -150000, 0, -500, -1250000), 300, 800),
    "south pole": (3031, Affine(1000, 0, -400000, 0, -1000, 500000), 1000, 700),
    "north pole": (3413, Affine(1000, 0, -400000, 0, -1000, 500000), 1000, 700),
    "corner at the pole": (3031, Affine(1000, 0, 0, 0, -1000, 300000), 300, 200),
    "side through the pole": (3031, Affine(1000, 0, -200000, 0, -1000, 100000), 300, 200),
    "side along 180": (3031, Affine(500, 0, 0, 0, -500, -1250000), 300, 400),
    "degrees": (4326, Affine(0.01, 0, 178.5, 0, -0.01, -70), 300, 400),
    "turned": (32701, Affine(87, -50, 450000, 50, 87, 1450000) @ Affine.scale(1, -1), 500, 900),
    "south up": (32760, Affine(100, 0, 520000, 0, 100, 1400000), 600, 1000),
}  # fmt: skip
every_grid = pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())


def info_on(epsg, transform, height, width, **facts):
    known = {
        "uri": "/scenes/S2A_MSIL1C_20191103T201501.SAFE", "group": "a", "renderings": ["tci-l1c"],
        "height": height, "width": width, "crs": CRS.from_epsg(epsg).to_wkt(), "transform": [*transform[:6]],
        "block": [height, width], "bytes": 1, "modified_ns": 1, "product_type": "L1C", "baseline": "05.00",
        "sensing_time": "2019-11-03T20:15:01.024000+00:00", "relative_orbit": 56, "tile": "58CDU",
        "sun_zenith": 62.5,
    }  # fmt: skip
    return SceneInfo(**(known | facts))


def write_raster(target, *names, dtype="uint8", **about):
    """Write a small raster, as classes are unless told otherwise."""
    names = names or ("ice class",)
    options = {"height": 30, "width": 40, "count": len(names), "dtype": dtype, "nodata": IGNORE}
    with rasterio.open(target, "w", driver="GTiff", **options) as raster:
        raster.write(np.zeros((len(names), 30, 40), dtype))
        raster.descriptions = names
        for key, value in about.items():
            setattr(raster, key, value)


def labels(palette="polynya"):
    return ItemAsset("labels.tif", "Ice classes", legend=class_legend(palette), counts=PIXELS)


def write(folder, info, **options):
    """Write an Item beside its files; return it as JSON, or None."""
    cv2.imwrite(str(folder / "quicklook.png"), np.zeros((30, 40, 3), np.uint8))
    write_raster(folder / "labels.tif")
    options = {"item_id": "scene-1", "assets": [labels(), QUICKLOOK]} | options
    written = write_item(folder / ITEM, info, **options)
    assert written == (folder / ITEM).exists()
    return json.loads((folder / ITEM).read_text()) if written else None


# --- validity ---

EXTENSIONS = "https://stac-extensions.github.io/"
CODE = {"type": ["string", "null"]}
NUMBERS = {"type": "array", "items": {"type": "number"}}
# What the specifications of the extensions ask of the fields that we write, said in JSON Schema.
RULES = {
    "projection/v2.0.0": {
        "proj:code": CODE, "proj:wkt2": CODE, "proj:projjson": {"type": ["object", "null"]},
        "proj:bbox": NUMBERS | {"minItems": 4, "maxItems": 4},
        "proj:shape": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2},
        "proj:transform": NUMBERS | {"minItems": 6, "maxItems": 6},
    },
    "classification/v2.0.0": {
        "classification:classes": {
            "type": "array", "minItems": 1, "uniqueItems": True,
            "items": {
                "required": ["value", "name"],
                "properties": {
                    "value": {"type": "integer"}, "name": {"type": "string", "pattern": "^[0-9A-Za-z_-]+$"},
                    "title": {"type": "string"}, "description": {"type": "string"},
                    "color_hint": {"type": "string", "pattern": "^[0-9A-F]{6}$"},
                    "nodata": {"type": "boolean"}, "count": {"type": "integer", "minimum": 0},
                },
                "additionalProperties": False,
            },
        },
    },
    "view/v1.0.0": {"view:sun_elevation": {"type": "number", "minimum": -90, "maximum": 90}},
    "sat/v1.0.0": {"sat:relative_orbit": {"type": "integer", "minimum": 1}},
    "file/v2.1.0": {
        "file:size": {"type": "integer", "minimum": 0},
        # A multihash of SHA-256: 0x12, 32 bytes, and these.
        "file:checksum": {"type": "string", "pattern": "^1220[0-9a-f]{64}$"},
    },
    "grid/v1.1.0": {"grid:code": {"type": "string", "pattern": r"^[A-Z0-9]+-[-_.A-Za-z0-9]+$"}},
}  # fmt: skip


def rule_schema(extension, fields):
    """Where the fields of an extension may stand: in properties and assets, and no others of its prefix."""
    prefix = next(iter(fields)).partition(":")[0]
    place = {
        "properties": fields,
        "patternProperties": {f"^(?!{prefix}:)": {}},
        "additionalProperties": False,
    }
    uri = f"{EXTENSIONS}{extension}/schema.json"
    return uri, {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": uri,
        "required": ["stac_extensions", "properties", "assets"],
        "properties": {
            "stac_extensions": {"contains": {"const": uri}},
            "properties": place,
            "assets": {"additionalProperties": place},
        },
    }


def check_renders(item):
    """What the extensions render 2.0 and raster 2.0 ask: drawn assets are there, colours are four bytes."""
    for render in item["properties"].get("renders", {}).values():
        assert set(render["assets"]) <= item["assets"].keys()
        for code, colour in render.get("colormap", {}).items():
            assert 0 <= int(code) <= 255
            assert [type(level) for level in colour] == [int] * 4
            assert all(0 <= level <= 255 for level in colour)
        assert all(low < high for low, high in render.get("rescale", []))
    for asset in item["assets"].values():
        for band in asset.get("bands", []):
            assert band["data_type"] in ("uint8", "uint16", "float32")
            assert {key for key in band if ":" in key} <= {"raster:scale", "raster:offset"}


@pytest.fixture
def validate(monkeypatch):
    """Validate as PySTAC does: the core by the schemas that it brings, extensions by RULES; never online."""

    def refuse(*_, **__):
        raise AssertionError("validation went online")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    validator = pystac.validation.stac_validator.JsonSchemaSTACValidator()
    validator.schema_cache |= dict(rule_schema(*rule) for rule in RULES.items())

    def check(item):
        check_renders(item)
        used = {key.partition(":")[0] for key in item["properties"] if ":" in key} - {"polynya"}
        used |= {key.partition(":")[0] for asset in item["assets"].values() for key in asset if ":" in key}
        bands = [band for asset in item["assets"].values() for band in asset.get("bands", [])]
        used |= {key.partition(":")[0] for band in bands for key in band if ":" in key}
        used |= {"render"} if "renders" in item["properties"] else set()
        prefixes = {"proj": "projection"}
        declared = {uri.removeprefix(EXTENSIONS).partition("/")[0] for uri in item["stac_extensions"]}
        assert declared == {prefixes.get(prefix, prefix) for prefix in used}
        known = [uri for uri in item["stac_extensions"] if "/render/" not in uri and "/raster/" not in uri]
        validator.validate(item, pystac.STACObjectType.ITEM, item["stac_version"], known)

    return check


def test_a_status_says_what_its_codes_mean(tmp_path, validate):
    counts = {status.name.lower(): int(status) + 10 for status in PixelStatus}
    write_raster(tmp_path / "status.tif", "status")
    status = ItemAsset("status.tif", "Why", legend=STATUS, counts=counts)
    validate(write(tmp_path, info_on(*GRIDS["Ross Sea"]), assets=[labels(), status]))
    asset = pystac.Item.from_file(tmp_path / ITEM).assets["status"]
    assert asset.extra_fields["nodata"] == UNKNOWN
    found = {c.value: (c.name, c.description, c.count) for c in ClassificationExtension.ext(asset).classes}
    assert found == {int(s): (s.name.lower(), s.title, int(s) + 10) for s in PixelStatus}


@every_grid
def test_items_are_valid(tmp_path, validate, grid):
    item = write(
        tmp_path, info_on(*grid), facts={"profile": "polynya", "profile_version": 2, "doubts": ["it is odd"]}
    )
    validate(item)
    assert item["properties"]["polynya:doubts"] == ["it is odd"]
    assert item["stac_version"] == "1.1.0"
    assert len(item["stac_extensions"]) == len(RULES) + 1  # and that of renderings


@pytest.mark.parametrize(
    "spoil",
    [
        lambda item: item.pop("bbox"),
        lambda item: item["properties"].pop("datetime"),
        lambda item: item["properties"].update({"proj:shape": [1.5, 2]}),
        lambda item: item["properties"].update({"proj:epsg": 3031}),
        lambda item: item["properties"].update({"view:sun_elevation": 91}),
        lambda item: item["properties"].update({"grid:code": "58CDU"}),
        lambda item: item["assets"]["labels"]["classification:classes"][0].pop("name"),
        lambda item: item["assets"]["labels"].pop("href"),
    ],
)
def test_the_validation_can_fail(tmp_path, validate, spoil):
    item = write(tmp_path, info_on(*GRIDS["Ross Sea"]))
    spoil(item)
    with pytest.raises(pystac.STACValidationError):
        validate(item)


def test_little_known_scenes_have_valid_items(tmp_path, validate):
    unknown = dict.fromkeys(("product_type", "baseline", "relative_orbit", "tile", "sun_zenith"))
    item = write(tmp_path, info_on(*GRIDS["degrees"], **unknown), assets=[labels()])
    validate(item)
    declared = {uri.split("/")[3] for uri in item["stac_extensions"]}
    assert declared == {"projection", "classification", "file", "render"}
    said = {key for key in item["properties"] if not key.startswith("proj:")}
    assert said == {"datetime", "polynya:version", "renders"}
    assert item["assets"].keys() == {"labels"}


# --- place ---


def inside(grid, lon, lat):
    """Which places lie on a raster, and how far from its border, in pixels (negative outside)."""
    epsg, transform, height, width = grid
    x, y = np.array(rasterio.warp.transform(LONLAT, CRS.from_epsg(epsg), lon, lat))
    if epsg == 4326:
        x = np.where(x < transform.c, x + 360, x)
    back = ~transform
    columns, rows = back.a * x + back.b * y + back.c, back.d * x + back.e * y + back.f
    depth = np.min([columns, rows, width - columns, height - rows], axis=0)
    return depth > 0, depth


@every_grid
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_footprint_holds_what_the_raster_holds(grid, data):
    epsg, transform, height, width = grid
    place = footprint(CRS.from_epsg(epsg), transform, height=height, width=width)
    columns = data.draw(st.lists(st.floats(-0.5 * width, 1.5 * width), min_size=20, max_size=20))
    rows = data.draw(st.lists(st.floats(-0.5 * height, 1.5 * height), min_size=20, max_size=20))
    t = transform
    x, y = ([a * c + b * r + o for c, r in zip(columns, rows, strict=True)] for a, b, o in (t[:3], t[3:6]))
    lon, lat = np.array(rasterio.warp.transform(CRS.from_epsg(epsg), LONLAT, x, y))
    lon = (lon + 180) % 360 - 180
    expected, depth = inside(grid, lon, lat)
    # What lies at 180 degrees lies on the side along which a footprint is cut there.
    found = shapely.intersects_xy(place.shape, lon, lat)
    sure = np.abs(depth) > 0.01 * max(height, width)
    np.testing.assert_array_equal(found[sure], expected[sure])


@every_grid
def test_geometry_and_bbox_are_as_rfc_7946_wants_them(tmp_path, grid):
    item = write(tmp_path, info_on(*grid))
    shape = shapely.geometry.shape(item["geometry"])
    assert shape.is_valid
    parts = shapely.get_parts(shape)
    assert all(shapely.is_ccw(part.exterior) and not part.interiors for part in parts)
    west, south, east, north = item["bbox"]
    assert -180 <= west <= 180
    assert -180 <= east <= 180
    assert (south, north) == pytest.approx(shape.bounds[1::2], abs=1e-6)
    lon, lat = shapely.get_coordinates(shape).T
    assert (np.abs(lon) <= 180).all()
    assert (np.abs(lat) <= 90).all()
    if west <= east:
        assert (west, east) == pytest.approx(shape.bounds[::2], abs=1e-6)
    else:  # it holds a piece of the antimeridian, and lies on both sides
        assert len(parts) == 2
        eastern, western = sorted(parts, key=lambda part: -part.bounds[0])
        assert (eastern.bounds[0], western.bounds[2]) == pytest.approx((west, east), abs=1e-6)
        assert (eastern.bounds[2], western.bounds[0]) == (180, -180)


@pytest.mark.parametrize(
    ("name", "crosses", "pole"),
    [("UTM zone 1", True, 0), ("UTM zone 58", False, 0), ("Ross Sea", True, 0), ("south pole", False, -90),
     ("north pole", False, 90), ("corner at the pole", False, 0), ("side through the pole", False, 0),
     ("side along 180", False, 0), ("degrees", True, 0)],
)  # fmt: skip
def test_which_scenes_cross_180_and_hold_a_pole(tmp_path, name, crosses, pole):
    item = write(tmp_path, info_on(*GRIDS[name]))
    west, south, east, north = item["bbox"]
    assert (west > east) == crosses
    assert item["geometry"]["type"] == ("MultiPolygon" if crosses else "Polygon")
    assert ((west, east) == (-180, 180)) == bool(pole)
    assert pole in (0, south, north)


def test_side_along_180_stays_on_its_side():
    epsg, transform, height, width = GRIDS["side along 180"]
    place = footprint(CRS.from_epsg(epsg), transform, height=height, width=width)
    assert place.bbox[2] == pytest.approx(180, abs=1e-4)
    assert place.bbox[0] > 160


@pytest.mark.parametrize(
    "missing",
    [{"crs": None}, {"transform": None}, {"crs": None, "transform": None}, {"sensing_time": None},
     {"crs": 'LOCAL_CS["deck",UNIT["metre",1]]'}, {"transform": [1e6, 0, 1e9, 0, -1e6, 1e9]}],
)  # fmt: skip
def test_without_place_or_time_there_is_no_item(tmp_path, missing):
    info = info_on(*GRIDS["UTM zone 1"])
    assert write(tmp_path, info) is not None
    assert write(tmp_path, info._replace(**missing)) is None  # and the one from before is gone


def test_a_plain_picture_has_no_item(tmp_path):
    info = SceneInfo("photo.png", "photo", ["rgb8"], 30, 40, None, None, [30, 40], 1, 1)
    assert write(tmp_path, info) is None


# --- what is said ---


def test_everything_is_found_again_by_pystac(tmp_path):
    grid = GRIDS["Ross Sea"]
    areas = {"water": 25e6, "thin_ice": 62.5e6, "thick_ice": 750e6, "ignore": 1.0}
    write(
        tmp_path,
        info_on(*grid),
        areas=areas,
        facts={"profile": "polynya-l1c", "profile_version": 3, "model": None},
    )
    item = pystac.Item.from_file(tmp_path / ITEM)
    assert item.id == "scene-1"
    assert item.datetime.isoformat() == "2019-11-03T20:15:01.024000+00:00"
    projection = ProjectionExtension.ext(item)
    assert projection.code == "EPSG:3031"
    assert projection.shape == [300, 800]
    assert projection.transform == [500, 0, -150000, 0, -500, -1250000]
    assert projection.bbox == [-150000, -1400000, 250000, -1250000]
    assert ViewExtension.ext(item).sun_elevation == 27.5
    assert SatExtension.ext(item).relative_orbit == 56
    assert GridExtension.ext(item).code == "MGRS-58CDU"
    own = {key: value for key, value in item.properties.items() if key.startswith("polynya:")}
    assert own.pop("polynya:version")
    assert own == {
        "polynya:product_type": "L1C",
        "polynya:processing_baseline": "05.00",
        "polynya:profile": "polynya-l1c",
        "polynya:profile_version": 3,
        "polynya:water_km2": 25.0,
        "polynya:thin_ice_km2": 62.5,
        "polynya:thick_ice_km2": 750.0,
    }


@pytest.mark.parametrize("palette", PALETTES)
def test_classes_say_what_codes_mean(tmp_path, palette):
    write(tmp_path, info_on(*GRIDS["UTM zone 1"]), assets=[labels(palette)])
    item = pystac.Item.from_file(tmp_path / ITEM)
    asset = item.assets["labels"]
    assert asset.extra_fields["nodata"] == IGNORE
    assert asset.extra_fields["data_type"] == "uint8"
    classes = {c.value: c for c in ClassificationExtension.ext(asset).classes}
    assert list(classes) == [*map(int, IceClass), IGNORE]
    for code, found in classes.items():
        assert found.color_hint == "".join(f"{level:02X}" for level in PALETTES[palette][code])
        assert bool(found.nodata) == (code == IGNORE)
        assert found.name == ("ignore" if code == IGNORE else IceClass(code).name.lower())
        assert found.count == PIXELS[found.name]
        assert found.description
    assert classes[2].description == "thick ice"


@pytest.mark.parametrize("palette", PALETTES)
def test_classes_are_drawn_in_their_colours(tmp_path, palette):
    write(tmp_path, info_on(*GRIDS["UTM zone 1"]), assets=[labels(palette)])
    render = RenderExtension.ext(pystac.Item.from_file(tmp_path / ITEM)).renders["labels"]
    assert (render.assets, render.nodata, render.resampling) == (["labels"], IGNORE, "nearest")
    colours = {int(code): tuple(colour) for code, colour in render.colormap.items()}
    assert colours == {code: (*rgb, 0 if code == IGNORE else 255) for code, rgb in PALETTES[palette].items()}


def test_bands_say_what_they_hold(tmp_path, validate):
    names = ("open water", "thin ice", "thick ice")
    write_raster(tmp_path / "probability.tif", *names, scales=[0.004] * 3, offsets=[0.0] * 3, units=["1"] * 3)
    sure = ItemAsset("probability.tif", "How sure", ("data",))
    item = write(tmp_path, info_on(*GRIDS["UTM zone 1"]), assets=[labels(), sure, QUICKLOOK])
    validate(item)
    assert item["assets"]["probability"]["bands"] == [
        {
            "name": name,
            "data_type": "uint8",
            "nodata": 255,
            "unit": "1",
            "raster:scale": 0.004,
            "raster:offset": 0.0,
        }
        for name in names
    ]
    assert item["properties"]["renders"]["probability"]["rescale"] == [[0, 250]] * 3
    assert item["assets"]["labels"]["bands"] == [{"name": "ice class", "data_type": "uint8", "nodata": 255}]
    assert "bands" not in item["assets"]["quicklook"]


def test_files_have_their_sizes_and_digests(tmp_path):
    item = write(tmp_path, info_on(*GRIDS["UTM zone 1"]))
    for asset in item["assets"].values():
        content = (tmp_path / asset["href"]).read_bytes()
        assert asset["file:size"] == len(content)
        assert asset["file:checksum"] == "1220" + hashlib.sha256(content).hexdigest()


def test_files_are_found_beside_the_item_and_the_picture_is_not_on_the_grid(tmp_path):
    write_raster(tmp_path / "clouds.tif")
    write_names(tmp_path / "labels.tif", class_legend("polynya"))
    clouds = ItemAsset("clouds.tif", "Clouds", ("data", "cloud"))
    write(tmp_path, info_on(*GRIDS["UTM zone 1"]), assets=[*code_assets(labels()), clouds, QUICKLOOK])
    item = pystac.Item.from_file(tmp_path / ITEM)
    assert {key: asset.href for key, asset in item.assets.items()} == {
        "labels": "./labels.tif", "labels.tif.aux.xml": "./labels.tif.aux.xml", "labels.qml": "./labels.qml",
        "clouds": "./clouds.tif", "quicklook": "./quicklook.png",
    }  # fmt: skip
    for asset in item.assets.values():
        assert (tmp_path / asset.href).exists()
    assert item.assets["clouds"].media_type == "image/tiff; application=geotiff; profile=cloud-optimized"
    assert item.assets["clouds"].roles == ["data", "cloud"]
    for name in ("labels.qml", "labels.tif.aux.xml"):
        assert item.assets[name].media_type == "application/xml"
        assert item.assets[name].roles == ["metadata"]
    picture = item.assets["quicklook"].to_dict()
    assert picture["type"] == "image/png"
    assert picture["proj:code"] is None
    assert picture["proj:shape"] == [30, 40]


def test_the_grid_is_the_written_rasters(tmp_path):
    epsg, transform, height, width = GRIDS["Ross Sea"]
    codes = np.zeros((height, width), np.uint8)
    write_codes(
        tmp_path / "classes.tif", [(Window(0, 0, width, height), codes)], class_legend(),
        height=height, width=width, crs=CRS.from_epsg(epsg), transform=transform,
    )  # fmt: skip
    written = write(tmp_path, info_on(*GRIDS["Ross Sea"]), assets=[ItemAsset("classes.tif", "Map")])
    item = written["properties"]
    with rasterio.open(tmp_path / "classes.tif") as raster:
        assert item["proj:code"] == raster.crs.to_string()
        assert item["proj:shape"] == list(raster.shape)
        assert item["proj:transform"] == list(raster.transform)[:6]
        assert item["proj:bbox"] == list(raster.bounds)


def test_a_crs_without_code_is_written_out(tmp_path, validate):
    crs = CRS.from_proj4("+proj=laea +lat_0=-90 +lon_0=170 +datum=WGS84")
    _, transform, height, width = GRIDS["south pole"]
    item = write(tmp_path, info_on(3031, transform, height, width, crs=crs.to_wkt()))
    validate(item)
    properties = item["properties"]
    assert properties["proj:code"] is None
    assert properties["proj:wkt2"].startswith("PROJCRS")
    assert CRS.from_wkt(properties["proj:wkt2"]) == crs
    assert properties["proj:projjson"]["type"] == "ProjectedCRS"
    picture = item["assets"]["quicklook"]
    assert (picture["proj:wkt2"], picture["proj:projjson"]) == (None, None)


@pytest.mark.parametrize(
    ("uri", "href"),
    [("/scenes/a b.tif", "file:///scenes/a%20b.tif"), ("s3://bucket/a.tif", "s3://bucket/a.tif"),
     ("https://host/item.json", "https://host/item.json")],
)  # fmt: skip
def test_the_scene_is_linked(tmp_path, uri, href):
    item = write(tmp_path, info_on(*GRIDS["UTM zone 1"], uri=uri))
    assert item["links"] == [{"rel": "derived_from", "href": href, "title": "Scene"}]


def test_items_appear_whole_or_not_at_all(tmp_path):
    before = write(tmp_path, info_on(*GRIDS["UTM zone 1"]))
    with pytest.raises(rasterio.errors.RasterioIOError):
        write_item(
            tmp_path / ITEM, info_on(*GRIDS["UTM zone 1"]), item_id="other",
            assets=[labels(), ItemAsset("gone.png", "Missing")],
        )  # fmt: skip
    assert json.loads((tmp_path / ITEM).read_text()) == before
    assert {path.name for path in tmp_path.iterdir()} == {ITEM, "labels.tif", "quicklook.png"}
