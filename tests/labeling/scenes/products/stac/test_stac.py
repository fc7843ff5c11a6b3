"""STAC items: each catalogue's form reads as the SAFE product it describes, with the offset that is true."""

import json
import os
import pickle
import shutil
from datetime import UTC, datetime

import numpy as np
import pytest
import rasterio
from conftest import DATA
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.enums import Resampling
from safe_writer import ProductSpec, native_dn, write_product
from stac_catalogues import CATALOGUES, edit, item_id, write_cog, write_item

from labeling.bands import BANDS, BLUE, GREEN, RED, Band
from labeling.errors import SceneError
from labeling.grid import Block
from labeling.scenes.open import is_scene, open_scene
from labeling.scenes.products.safe.reader import open_product
from labeling.scenes.products.stac.reader import has_items, is_stac, open_stac

SIZE = 120
WHOLE = Block(0, 0, SIZE, SIZE)
OLD, NEW = ProductSpec("L2A", "02.08"), ProductSpec("L2A", "05.00")


def surface():
    """Reflectance (13, SIZE, SIZE) of ice and dark water, above 0 so that Earth Search loses nothing."""
    coarse = np.random.default_rng(5).uniform(0.01, 1.1, (13, SIZE // 6, SIZE // 6))
    return np.repeat(np.repeat(coarse, 6, axis=1), 6, axis=2)


@pytest.fixture(scope="session")
def safes(tmp_path_factory):
    """Return a function that gives a folder with a SAFE product nobody changes."""
    made = {}

    def make(spec):
        if spec not in made:
            rows, columns = np.mgrid[:SIZE, :SIZE]
            dn = native_dn(surface(), spec, columns - rows > 100)
            dn[RED][50:53, 60:70] = 65535
            made[spec] = write_product(tmp_path_factory.mktemp("safe"), dn, spec)
        return made[spec]

    return make


@pytest.fixture
def item_of(safes, tmp_path):
    """Return a function that writes an item, with its images, into a folder of its own."""

    def write(spec, catalogue, **options):
        safe = shutil.copytree(safes(spec), tmp_path / safes(spec).name)
        return write_item(tmp_path, safe, spec, catalogue, **options)

    return write


@pytest.fixture(scope="module")
def kept_item(safes, tmp_path_factory):
    """An Earth Search item that nobody changes."""
    folder = tmp_path_factory.mktemp("kept")
    return write_item(folder, shutil.copytree(safes(NEW), folder / NEW.name), NEW, "earth-search")


def refused(uri, *words, bands=(RED,)):
    """Assert that opening or reading raises a SceneError with those words, and return its message."""
    with pytest.raises(SceneError) as caught, open_stac(str(uri)) as (product, _):
        product.read(Block(0, 0, 4, 4), bands)
    for word in words:
        assert word in str(caught.value), str(caught.value)
    return str(caught.value)


def same(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


# Reading


@pytest.mark.parametrize(
    "spec", [OLD, NEW, ProductSpec("L1C", "05.00")], ids=lambda s: f"{s.product_type}-{s.baseline}"
)
@pytest.mark.parametrize("catalogue", CATALOGUES)
def test_an_item_reads_as_the_product_it_describes(safes, item_of, spec, catalogue):
    path = item_of(spec, catalogue)
    with open_stac(str(path)) as (item, _), open_product(str(safes(spec))) as safe:
        assert item.bands == safe.bands == BANDS[spec.product_type]
        facts, expected = item.facts, safe.facts
        for name in ("product_type", "baseline", "relative_orbit", "acquisition", "tile", "sun_zenith"):
            assert getattr(facts, name) == getattr(expected, name), name
        assert (facts.product_id, facts.sensing_time) == (spec.name, expected.sensing_time)
        assert (facts.crs, facts.transform) == (expected.crs, expected.transform)
        assert (facts.height, facts.width) == (expected.height, expected.width)
        assert pickle.loads(pickle.dumps(facts)) == facts
        for band in item.bands:
            assert item.layout(band).resolution == band.resolution
            same(item.read_native(band), safe.read_native(band))
        same(item.read(WHOLE, item.bands), safe.read(WHOLE, safe.bands))
        if spec.product_type == "L2A":
            np.testing.assert_array_equal(
                item.read_layer("SCL", Block(3, 5, 70, 8)), safe.read_layer("SCL", Block(3, 5, 70, 8))
            )
        assert item.read_layer("MSK_DETFOO_B02", WHOLE) is None


@pytest.mark.parametrize("resolution", [20, 60])
def test_coarser_grids_are_those_of_safe(safes, item_of, resolution):
    path, size = item_of(NEW, "earth-search"), SIZE * 10 // resolution
    with open_stac(str(path)) as (item, _), open_product(str(safes(NEW))) as safe:
        block = Block(0, 1, size, size - 1)
        same(
            item.read(block, item.bands, resolution=resolution),
            safe.read(block, safe.bands, resolution=resolution),
        )


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_blocks_equal_the_whole(kept_item, data):
    resolution = data.draw(st.sampled_from([10, 20, 60]))
    options = {
        "resolution": resolution,
        "resampling": data.draw(st.sampled_from([Resampling.bilinear, Resampling.nearest])),
    }
    size, bands = SIZE * 10 // resolution, (BLUE, Band.B11, Band.B01)
    row, column = data.draw(st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)))
    block = Block(
        row, column, data.draw(st.integers(1, size - row)), data.draw(st.integers(1, size - column))
    )
    with open_stac(str(kept_item)) as (item, _):
        whole = item.read(Block(0, 0, size, size), bands, **options)
        part = item.read(block, bands, **options)
    rows, columns = block.slices
    same(part, (whole.values[:, rows, columns], whole.valid[rows, columns], whole.saturated[rows, columns]))


def test_an_item_is_a_scene_like_any_other(safes, kept_item):
    with open_scene(str(kept_item)) as scene, open_scene(str(safes(NEW))) as safe:
        for name in ("group", "renderings", "height", "width", "crs", "transform", "tile", "sun_zenith"):
            assert getattr(scene.info, name) == getattr(safe.info, name)
        assert scene.info.uri == str(kept_item)
        same(scene.read(WHOLE), safe.read(WHOLE))
        assert pickle.loads(pickle.dumps(scene.info)) == scene.info
    assert is_scene(kept_item)


# The offset


def test_an_offset_that_was_applied_is_not_applied_again(safes, item_of):
    """The assets state -0.1 as they do in Earth Search; the property says that the pixels know."""
    path = item_of(NEW, "earth-search", applied=True)
    with open_stac(str(path)) as (item, _), open_product(str(safes(NEW))) as safe:
        found, expected = item.read(WHOLE, [GREEN]), safe.read(WHOLE, [GREEN])
    np.testing.assert_allclose(found.values, expected.values, atol=1e-6)
    np.testing.assert_array_equal(found.valid, expected.valid)


STATED = {"scale": 0.0001, "offset": -0.1}


@pytest.mark.parametrize(
    ("baseline", "properties", "asset", "offset"),
    [
        ("05.00", {}, {"raster:bands": [STATED]}, -1000),
        ("05.00", {}, {"raster:bands": [STATED | {"offset": 0}]}, 0),
        ("05.00", {}, {"bands": [{"raster:scale": 0.0001, "raster:offset": -0.1}]}, -1000),
        ("05.00", {}, {"raster:scale": 0.0001, "raster:offset": -0.1, "bands": [{"name": "B04"}]}, -1000),
        ("05.00", {}, {"raster:bands": [{"offset": -0.1}]}, -1000),
        (None, {}, {"raster:bands": [STATED]}, -1000),
        ("05.00", {"earthsearch:boa_offset_applied": False}, {"raster:bands": [STATED]}, -1000),
        ("05.00", {"earthsearch:boa_offset_applied": True}, {"raster:bands": [STATED]}, 0),
        ("04.00", {"sentinel:boa_offset_applied": True}, {}, 0),
        ("02.08", {"earthsearch:boa_offset_applied": False}, {"raster:bands": [{"scale": 0.0001}]}, 0),
        ("02.08", {}, {}, 0),
        ("02.08", {}, {"raster:bands": [STATED | {"offset": 0}]}, 0),
    ],
)
def test_what_an_item_says_of_its_dn(tmp_path, baseline, properties, asset, offset):
    path = plain_item(tmp_path, properties, asset, baseline)
    with open_stac(str(path)) as (item, _):
        found = item.read(WHOLE, [RED]).values[0]
    np.testing.assert_array_equal(found, ((plain_dn().astype(np.float32) + offset) / np.float32(10_000)))


@pytest.mark.parametrize(
    ("baseline", "asset"),
    [
        ("05.00", {}),
        (None, {}),
        ("99.99", {}),
        ("05.00", {"raster:bands": [{"scale": 0.0001}]}),
        ("02.08", {"raster:bands": [STATED]}),
        ("05.00", {"raster:bands": [{"scale": 0, "offset": 0}]}),
    ],
)
def test_dn_that_say_too_little_are_refused_with_the_way_out(tmp_path, baseline, asset):
    path = plain_item(tmp_path, {}, asset, baseline)
    message = refused(path, "boa_offset_applied", f"baseline is {baseline or 'not stated'}", str(path))
    stated = json.loads(
        "{" + message[message.index('"raster:bands"') : message.index(" where DN carry")] + "}"
    )
    edit(path, lambda item: item["assets"]["red"].update(stated))
    if baseline != "02.08":
        with open_stac(str(path)) as (item, _):
            assert item.read(WHOLE, [RED]).values[0, 0, 0] == np.float32((plain_dn()[0, 0] - 1000.0) / 10_000)


def plain_dn():
    return np.random.default_rng(2).integers(1, 9000, (SIZE, SIZE)).astype(np.uint16)


def plain_item(folder, properties, asset, baseline=None, values=None):
    """Write an item with a red asset only."""
    place = {"crs": NEW.crs, "transform": rasterio.transform.from_origin(NEW.left, NEW.top, 10, 10)}
    write_cog(folder / "B04.tif", plain_dn() if values is None else values, place)
    content = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "plain",
        "properties": {"constellation": "sentinel-2", "datetime": "2019-11-03T20:39:01Z", **properties},
        "assets": {"red": {"href": "B04.tif", **asset}},
    }
    if baseline:
        content["properties"]["s2:processing_baseline"] = baseline
    (folder / "plain.json").write_text(json.dumps(content))
    return folder / "plain.json"


def test_planetary_computer_without_its_xml_is_refused_only_when_it_matters(item_of):
    path = item_of(NEW, "planetary-computer")
    edit(path, lambda item: item["assets"].pop("product-metadata"))
    refused(path, "product-metadata and granule-metadata", "05.00")


def test_planetary_computer_with_another_products_xml_is_refused(item_of):
    path = item_of(NEW, "planetary-computer")
    edit(path, lambda item: item["assets"]["product-metadata"].update(href="absent.xml"))
    refused(path, "absent.xml cannot be read")
    (path.parent / "absent.xml").write_text("<x/>")
    refused(path, f"the product XML of item {item_id(NEW)}", "PRODUCT_TYPE")


@pytest.mark.parametrize(
    ("name", "true", "trap"), [("282D_485L_3_3.tif", -0.1, 0), ("38D_378R_2_3.tif", 0, -0.1)]
)
def test_real_dn_with_and_without_offset(tmp_path, name, true, trap):
    """The darkest red of each real tile is that of water or plants only with its own offset."""
    source = DATA / "terramesh" / "S2L1C" / name
    if not source.exists():
        pytest.skip(f"real data not present: {source} (POLYNYA_DATA names another folder)")
    with rasterio.open(source) as raster:
        stored = raster.read(4).astype(np.uint16)
        write_cog(tmp_path / "real.tif", stored, raster.profile)
    path = plain_item(tmp_path, {"s2:product_type": "S2MSI1C"}, {"href": "real.tif"}, "05.00")
    refused(path, "leaves open how its DN become reflectance")

    def red(offset):
        edit(
            path,
            lambda item: item["assets"]["red"].update(
                {"raster:bands": [{"scale": 0.0001, "offset": offset}]}
            ),
        )
        with open_stac(str(path)) as (item, _):
            assert item.facts.product_type == "L1C"
            return item.read(Block(0, 0, *stored.shape), [RED]).values[0]

    np.testing.assert_allclose(red(true), stored / 10_000 + true, atol=1e-6)
    assert 0.02 < red(true).min() < 0.08
    assert not 0.02 < red(trap).min() < 0.08


# How it is stored


def test_reflectance_in_floating_point(tmp_path):
    values = np.random.default_rng(3).uniform(0, 1, (SIZE, SIZE)).astype(np.float32)
    path = plain_item(tmp_path, {}, {"data_type": "float32"}, "05.00", values)
    with open_stac(str(path)) as (item, _):
        np.testing.assert_array_equal(item.read(WHOLE, [RED]).values[0], values)


def test_floating_point_that_nobody_announced_is_not_divided(tmp_path):
    values = np.full((SIZE, SIZE), 0.5, np.float32)
    refused(plain_item(tmp_path, {}, {}, "02.08", values), "stored as float32", "uint16 or int16")
    refused(
        plain_item(tmp_path, {}, {"raster:bands": [STATED | {"data_type": "uint16"}]}, None, values),
        "float32",
    )


def test_no_data_is_the_items_before_the_files(tmp_path):
    path = plain_item(
        tmp_path,
        {},
        {"raster:bands": [STATED | {"nodata": 7}]},
        None,
        np.array([[0, 7] * 60] * 120, np.uint16),
    )
    with open_stac(str(path)) as (item, _):
        np.testing.assert_array_equal(item.read(WHOLE, [RED]).valid[0], [True, False] * 60)


# Facts


TIME = datetime(2019, 11, 3, 20, 39, 1, tzinfo=UTC)
PASS = "GS2A_20191103T203901_022802"


@pytest.mark.parametrize(
    ("properties", "field", "value"),
    [
        ({"s2:product_type": "S2MSI1C"}, "product_type", "L1C"),
        ({"processing:level": "L2A"}, "product_type", "L2A"),
        ({"processing:level": "L2"}, "product_type", None),
        ({"processing:version": "05.12"}, "baseline", "05.12"),
        ({"processing:version": "1"}, "baseline", None),
        ({"datetime": None, "start_datetime": "2019-11-03T20:39:01Z"}, "sensing_time", TIME),
        ({"datetime": None}, "sensing_time", None),
        ({"grid:code": "MGRS-1CDV"}, "tile", "01CDV"),
        ({"mgrs:utm_zone": 1, "mgrs:latitude_band": "C", "mgrs:grid_square": "DV"}, "tile", "01CDV"),
        ({"s2:mgrs_tile": "58CDU"}, "tile", "58CDU"),
        ({"view:sun_elevation": 21.5}, "sun_zenith", 68.5),
        ({"view:sun_elevation": 21.5, "s2:mean_solar_zenith": 70}, "sun_zenith", 70.0),
        ({"view:sun_elevation": "low"}, "sun_zenith", None),
        ({"view:sun_azimuth": 55.5}, "sun_azimuth", 55.5),
        ({"s2:mean_solar_azimuth": "54.5"}, "sun_azimuth", 54.5),
        ({"view:incidence_angle": 4.0, "view:azimuth": 200}, "views", dict.fromkeys(Band, (4.0, 200.0))),
        ({"view:incidence_angle": 4.0}, "views", {}),
        ({"platform": "sentinel-2b"}, "unit", "B"),
        ({"s2:product_uri": f"{NEW.name}.SAFE"}, "unit", "A"),
        ({"sat:relative_orbit": 143}, "relative_orbit", 143),
        ({"s2:datatake_id": f"{PASS}_N05.00"}, "acquisition", PASS),
        ({"eopf:datatake_id": f"{PASS}_N05.00"}, "acquisition", PASS),
        ({"s2:product_uri": f"{NEW.name}.SAFE"}, "acquisition", "GS2A_20191103T203901"),
        ({"s2:product_uri": f"{NEW.name}.SAFE"}, "relative_orbit", 57),
        ({"s2:product_uri": f"{NEW.name}.SAFE"}, "product_type", "L2A"),
        ({"platform": "sentinel-2a", "sat:relative_orbit": 57}, "acquisition", "sentinel-2a_20191103_R057"),
        ({}, "acquisition", "plain"),
        ({}, "product_id", "plain"),
        ({}, "product_type", None),
    ],
)  # fmt: skip
def test_each_fact_has_its_properties(tmp_path, properties, field, value):
    path = plain_item(tmp_path, properties, {"raster:bands": [STATED]})
    with open_stac(str(path)) as (item, _):
        assert getattr(item.facts, field) == value


@pytest.mark.parametrize("collection", ["sentinel-2-c1-l2a", "sentinel-2-l2a", "SENTINEL-2-L2A"])
def test_the_collection_says_the_level_where_nothing_else_does(tmp_path, collection):
    path = plain_item(tmp_path, {"constellation": None}, {"raster:bands": [STATED]})
    edit(path, lambda item: item.update(collection=collection))
    with open_stac(str(path)) as (item, _):
        assert item.facts.product_type == "L2A"


# Where files are


@pytest.mark.parametrize("form", ["{}", "./{}", "../{folder}/{}", "{path}", "file://{path}"])
def test_links_of_a_local_item(tmp_path, form):
    folder = tmp_path / "in here"
    folder.mkdir()
    path = plain_item(folder, {}, {"raster:bands": [STATED]})
    href = form.format("B04.tif", folder=folder.name, path=folder / "B04.tif")
    if form.startswith("file"):
        href = href.replace(" ", "%20")
    edit(path, lambda item: item["assets"]["red"].update(href=href))
    with open_stac(str(path)) as (item, _):
        assert item.read(WHOLE, [RED]).valid.all()


def test_a_copy_is_read_where_the_file_is_absent(tmp_path):
    path = plain_item(tmp_path, {}, {"raster:bands": [STATED]})
    copies = {"az": {"href": "az://container/B04.tif"}, "local": {"href": "B04.tif"}}
    edit(path, lambda item: item["assets"]["red"].update(href="moved/B04.tif", alternate=copies))
    with open_stac(str(path)) as (item, _):
        assert item.read(WHOLE, [RED]).valid.all()
    (tmp_path / "B04.tif").unlink()
    refused(path, "moved/B04.tif cannot be opened", f"; {tmp_path}/B04.tif cannot be opened")


# State


def test_the_state_of_an_item_covers_the_files_that_are_read_for_it(kept_item):
    def state():
        with open_stac(str(kept_item)) as (_, found):
            return found

    before, status = state(), kept_item.stat()
    assert before == state()
    assert before[:2] == (status.st_size, status.st_mtime_ns)
    assets = json.loads(kept_item.read_text())["assets"]
    red = next(each["href"] for key, each in assets.items() if key in ("red", "B04"))
    os.utime(kept_item.parent / red, ns=(1, 1))
    assert state() != before


# Bad items


FEATURE = '{"type": "Feature", "id": "x", "properties": {}'


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("<html>", ["is not JSON", "STAC item or a list"]),
        ("", ["is not JSON"]),
        ("[]", ["no STAC item", "None"]),
        ("[" * 100_000, ["is not JSON"]),
        (FEATURE + f', "x": {"[" * 800}{"]" * 800}}}', ["nested more than 64 deep"]),
        ('{"type": "Catalog"}', ["'Catalog'", "give the items"]),
        (FEATURE + "}", ["assets: Field required"]),
        (FEATURE + ', "assets": {"B04": {}}}', ["assets.B04.href: Field required"]),
        (FEATURE + ', "assets": {"B04": {"href": "a", "raster:scale": NaN}}}', ["a finite number"]),
    ],
)
def test_files_that_are_no_item(tmp_path, content, words):
    path = tmp_path / "item.json"
    path.write_text(content)
    refused(path, str(path), *words)


def test_a_file_that_is_not_there(tmp_path):
    refused(tmp_path / "item.json", "item.json cannot be read (No such file", "Check the path")
    (tmp_path / "folder.json").mkdir()
    refused(tmp_path / "folder.json", "folder.json cannot be read (Is a directory)")


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ({"constellation": "landsat"}, "is of landsat"),
        ({"constellation": None, "platform": "landsat-8"}, "is of landsat-8"),
        ({"constellation": "sentinel-2", "platform": "sentinel-1a"}, "is of sentinel-2 and sentinel-1a"),
        ({"constellation": None}, "no mission it names"),
    ],
)
def test_items_of_another_mission(tmp_path, properties, words):
    refused(plain_item(tmp_path, properties, {"raster:bands": [STATED]}), words, "Give items of Sentinel-2")


def test_missing_assets_are_named_with_those_there(item_of):
    path = item_of(OLD, "earth-search")
    edit(path, lambda item: item["assets"].pop("green"))
    refused(path, "no band B03: looked for assets B03, B03_10m, green; there are coastal, ", bands=[GREEN])
    edit(path, lambda item: item.update(assets={"thumbnail": {"href": "a.png"}}))
    refused(path, "has no band: looked for assets B01/B01_60m/coastal", "there are thumbnail")


def test_an_image_without_projection(tmp_path):
    path = plain_item(tmp_path, {}, {"raster:bands": [STATED]})
    with rasterio.open(
        tmp_path / "B04.tif", "w", driver="GTiff", dtype="uint16", count=1, height=9, width=9
    ) as raster:
        raster.write(np.ones((1, 9, 9), np.uint16))
    refused(path, "B04.tif has no coordinate system in metres (none)")


def test_an_image_that_covers_something_else(item_of):
    path = item_of(OLD, "earth-search")
    place = {"crs": NEW.crs, "transform": rasterio.transform.from_origin(NEW.left + 10, NEW.top, 10, 10)}
    write_cog(path.parent / "B03.tif", plain_dn(), place)
    refused(path, "B03.tif covers 120 x 120 pixels of 10 m from 399970", "from 399960", bands=[RED, GREEN])


@pytest.mark.parametrize("name", ["B04.tif", "B04.jp2"])
@pytest.mark.parametrize("share", [0, 0.03, 0.5])
def test_truncated_images(safes, tmp_path, name, share):
    path = plain_item(tmp_path, {}, {"href": name, "raster:bands": [STATED]})
    source = tmp_path / "B04.tif" if name.endswith("tif") else safes(NEW) / NEW.image(RED, 10)
    content = source.read_bytes()
    (tmp_path / name).write_bytes(content[: int(len(content) * share)])
    refused(path, name, "the file again")


def test_something_else_in_the_place_of_an_image(tmp_path):
    path = plain_item(tmp_path, {}, {"raster:bands": [STATED]})
    (tmp_path / "B04.tif").write_text("<VRTDataset rasterXSize='120' rasterYSize='120'/>")
    refused(path, "B04.tif cannot be opened as GeoTIFF")


# What is taken for an item


def test_what_is_taken_for_an_item(tmp_path):
    for uri in (
        "a.json",
        "/x/items.geojson#S2A",
        "https://h/items/S2A",
        "http://h/a.json?sig=x",
        "s3://b/a.json",
    ):
        assert is_stac(uri), uri
    for uri in ("a.tif", "https://h/a.tif", "https://h/a.TIFF?sig=a.json", "S2A.SAFE", "a.png"):
        assert not is_stac(uri), uri
    (tmp_path / "done.json").write_text('{"type": "Feature"}')
    (tmp_path / "catalog.json").write_text('{"type": "Catalog", "stac_version": "1.0.0"}')
    assert not has_items(tmp_path / "done.json")
    assert not has_items(tmp_path / "catalog.json")
    assert not has_items(tmp_path / "absent.json")
    assert not has_items(tmp_path)


def test_only_the_first_copies_of_an_asset_are_tried(item_of, tmp_path):
    copies = {f"copy-{number}": {"href": f"copy-{number}.tif"} for number in range(1000)}
    path = item_of(NEW, "planetary-computer")
    edit(path, lambda item: item["assets"]["B04"].update(href="absent.tif", alternate=copies))
    said = refused(path, "absent.tif cannot be opened", "copy-2.tif cannot be opened")
    assert "copy-3.tif" not in said


@pytest.mark.parametrize(
    ("place", "words"),
    [("pipe.tif", "which is no regular file"), ("/dev/zero", "which is outside of its")],
)
def test_a_pipe_or_device_as_band_keeps_nobody_waiting(item_of, tmp_path, place, words):
    os.mkfifo(tmp_path / "pipe.tif")
    path = item_of(NEW, "planetary-computer")
    edit(path, lambda item: item["assets"]["B04"].update(href=place))
    refused(path, f"{place}, {words}")
