"""STAC items on a server: the same pixels as from disk, by ranges, and a clear word when the server fails."""

import re
import shutil

import numpy as np
import pytest
from rasterio.transform import from_origin
from safe_writer import ProductSpec, native_dn, write_product
from stac_catalogues import edit, write_cog, write_item
from stac_server import FileServer

import labeling.files.fetch as stac_fetch
from labeling.bands import BLUE, GREEN, RED
from labeling.errors import SceneError
from labeling.files.links import VARIABLE
from labeling.grid import Block
from labeling.scenes.open import open_scene
from labeling.scenes.products.stac.reader import open_stac
from labeling.scenes.products.stacks.files import GDAL_OPTIONS

SIZE = 1500
BLOCK = Block(700, 300, 50, 60)
PLACE = {"crs": "EPSG:32758", "transform": from_origin(399_960, 1_700_040, 10, 10)}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder with three large COGs that hardly shrink."""
    folder = tmp_path_factory.mktemp("images")
    for number, name in enumerate(("B02", "B03", "B04")):
        dn = np.random.default_rng(number).integers(1000, 9000, (SIZE, SIZE)).astype(np.uint16)
        write_cog(folder / f"{name}.tif", dn, PLACE)
    return folder


@pytest.fixture
def item(tmp_path, images):
    """An item with images of its own."""
    shutil.copytree(images, tmp_path, dirs_exist_ok=True)
    (tmp_path / "item.json").write_text("{}")

    def fill(content):
        scaling = {"raster:bands": [{"scale": 0.0001, "offset": -0.1}]}
        content |= {"type": "Feature", "stac_version": "1.0.0", "id": "S2B_58CDU_20191103_0_L2A"}
        content["properties"] = {"constellation": "sentinel-2", "s2:product_type": "S2MSI2A"}
        names = {"red": "B04", "green": "B03", "blue": "B02"}
        content["assets"] = {key: {"href": f"{name}.tif", **scaling} for key, name in names.items()}

    return edit(tmp_path / "item.json", fill)


@pytest.fixture
def unpaused(monkeypatch):
    """Try again without a pause where a server fails."""
    monkeypatch.setattr(stac_fetch, "PAUSES", (0.0, 0.0))
    for name, value in {"MAX_RETRY": 2, "RETRY_DELAY": 0.01}.items():
        monkeypatch.setitem(GDAL_OPTIONS, f"GDAL_HTTP_{name}", value)


@pytest.fixture
def impatient(unpaused, monkeypatch):
    """Give up soon where images stall. Only for those: on a busy machine other answers take a while, too."""
    for name in ("TIMEOUT", "LOW_SPEED_TIME"):
        monkeypatch.setitem(GDAL_OPTIONS, f"GDAL_HTTP_{name}", 1)


def local(path, block=BLOCK):
    with open_stac(str(path)) as (product, _):
        return product.read(block, [RED, GREEN, BLUE])


def refused(uri, *words, block=BLOCK):
    with pytest.raises(SceneError) as caught, open_stac(uri) as (product, _):
        product.read(block, [RED])
    for word in words:
        assert word in str(caught.value), str(caught.value)
    return str(caught.value)


# Reading


def test_pixels_are_those_of_the_local_files_and_only_ranges_are_read(item):
    size = (item.parent / "B04.tif").stat().st_size
    with FileServer(item.parent) as server:
        with open_stac(server.url("item.json")) as (product, _):
            found = product.read(BLOCK, [RED, GREEN, BLUE])
        for name in ("B02.tif", "B03.tif", "B04.tif"):
            assert 0 < server.sent(name) < size / 10, server.sent(name)
            assert server.requests(name) <= 4
        assert server.requests("item.json") == 1
        assert all(asked for method, path, asked in server.asked if method == "GET" and ".tif" in path)
        assert {path for _, path, _ in server.asked} == {"/item.json", "/B02.tif", "/B03.tif", "/B04.tif"}
    for one, other in zip(found, local(item), strict=True):
        np.testing.assert_array_equal(one, other)


def test_opening_a_scene_reads_one_header(item):
    with FileServer(item.parent) as server, open_scene(server.url("item.json")) as scene:
        assert scene.info.block == [128, 128]
        assert server.sent("B04.tif") <= 32_768
        assert server.requests("B03.tif") == 0
        np.testing.assert_array_equal(scene.read(BLOCK).valid, local(item).valid)


def test_jpeg_2000_and_xml_come_over_http_too(tmp_path):
    spec = ProductSpec("L2A", "05.00")
    dn = native_dn(np.random.default_rng(4).uniform(0.05, 1, (13, 120, 120)), spec)
    safe, block = write_product(tmp_path, dn, spec), Block(3, 5, 70, 80)
    for catalogue in ("cdse", "planetary-computer"):
        item = write_item(tmp_path, safe, spec, catalogue)
        with FileServer(tmp_path) as server, open_stac(server.url("item.json")) as (product, _):
            found = product.read(block, [RED, GREEN, BLUE])
            np.testing.assert_array_equal(found.values, local(item, block).values)


def test_an_object_store_is_read_through_its_own_protocol(item, monkeypatch):
    def move(content):
        for asset in content["assets"].values():
            asset["href"] = f"s3://eodata/tiles/{asset['href']}"

    expected = local(item).values
    store = item.parent / "eodata" / "tiles"
    store.mkdir(parents=True)
    for file in item.parent.glob("*.tif"):
        file.rename(store / file.name)
    with FileServer(item.parent) as server:
        for name, value in {
            "AWS_S3_ENDPOINT": server.host, "AWS_HTTPS": "NO", "AWS_VIRTUAL_HOSTING": "FALSE",
            "AWS_NO_SIGN_REQUEST": "YES", VARIABLE: "s3://eodata",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        np.testing.assert_array_equal(local(edit(item, move)).values, expected)
        assert server.sent("eodata/tiles/B04.tif") > 0
        server.fail("eodata/tiles/B04.tif", 403)
        refused(str(item), "s3://eodata/tiles/B04.tif cannot be opened", "AWS_S3_ENDPOINT=eodata")


# Signed links


def test_signatures_are_used_and_never_shown(item, caplog):
    secret = "sv=2023&sig=aS%2Bs3cret"

    def sign(content):
        for asset in content["assets"].values():
            asset["href"] += f"?{secret}"

    with FileServer(item.parent) as server:
        address = f"{server.url('item.json')}?{secret}"
        edit(item, sign)
        with open_scene(address) as scene:
            scene.read(BLOCK)
            assert scene.info.uri == address
        assert all(path.endswith(f"?{secret}") for _, path, _ in server.asked)
        with pytest.raises(SceneError) as caught, open_scene(address, "rgb8"):
            pass
        messages = [str(caught.value)]
        server.fail("B04.tif", 403)
        messages += [refused(address, "B04.tif cannot be opened", "signed link has expired")]
        server.fail("item.json", 403)
        messages += [refused(address, "the server answers 403", "whether its link has expired")]
        for message in messages:
            assert "s3cret" not in message
            assert server.host in message
    assert any("403" in record.getMessage() for record in caplog.records)
    assert "s3cret" not in caplog.text


def test_a_changed_image_is_read_anew(item):
    with FileServer(item.parent) as server:
        for level in (2000, 3000):
            write_cog(item.parent / "B04.tif", np.full((SIZE, SIZE), level, np.uint16), PLACE)
            with open_stac(server.url("item.json")) as (product, _):
                assert product.read(BLOCK, [RED]).values[0, 0, 0] == np.float32((level - 1000) / 10_000)


# State


def test_the_state_is_what_the_server_calls_it(item):
    def state(**options):
        with FileServer(item.parent, **options) as server, open_stac(server.url("item.json")) as (_, found):
            return found

    assert state() == (item.stat().st_size, 0, f'"{item.stat().st_mtime_ns:x}"')
    unnamed = state(etags=False)
    assert re.fullmatch("sha256:[0-9a-f]{16}", unnamed.etag)
    edit(item, lambda content: content.update(id="other"))
    assert state(etags=False) != unnamed


# Servers that fail


def test_an_item_that_is_not_there(item, unpaused):
    with FileServer(item.parent) as server:
        message = refused(server.url("absent.json"), "404 Not Found", "Check the address")
        assert server.url("absent.json") in message
        assert server.requests("absent.json") == 1


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_server_that_stumbles_is_asked_again(item, unpaused, code):
    with FileServer(item.parent) as server:
        for name in ("item.json", "B04.tif"):
            server.fail(name, code, times=2)
        with open_stac(server.url("item.json")) as (product, _):
            found = product.read(BLOCK, [RED, GREEN, BLUE])
    np.testing.assert_array_equal(found.values, local(item).values)


def test_a_server_that_keeps_failing(item, unpaused):
    with FileServer(item.parent) as server:
        server.fail("B04.tif", 500)
        refused(server.url("item.json"), f"{server.host}/B04.tif cannot be opened", "500")
        server.fail("item.json", 500)
        refused(server.url("item.json"), "500 Internal Server Error, 3 times", "Run again later")
        assert server.requests("item.json") == 4


def test_a_server_that_is_not_there(unpaused):
    refused("http://127.0.0.1:9/item.json", "127.0.0.1:9/item.json cannot be fetched", "3 times")


def test_an_address_that_is_none(unpaused):
    refused("http://127.0.0.1:port/item.json", "is no address", "Check it")


def test_an_item_that_stalls_or_ends_early(item, unpaused, monkeypatch):
    monkeypatch.setattr(stac_fetch, "TIMEOUT", 0.3)
    with FileServer(item.parent) as server:
        server.stall("item.json", after=100)
        refused(server.url("item.json"), "item.json cannot be fetched (", "timed out", "3 times")


def test_images_that_stall(item, impatient):
    with FileServer(item.parent) as server:
        server.stall("B04.tif", after=10)
        refused(server.url("item.json"), "B04.tif cannot be opened")
    with FileServer(item.parent) as server, open_stac(server.url("item.json")) as (product, _):
        assert product.layout(RED).resolution == 10
        server.stall("B04.tif", after=10)
        with pytest.raises(SceneError, match=r"B04\.tif has failed on its way, or is damaged: .*Run again"):
            product.read(BLOCK, [RED])


@pytest.mark.parametrize("share", [0, 0.5])
def test_truncated_images(item, unpaused, share):
    image = item.parent / "B04.tif"
    image.write_bytes(image.read_bytes()[: int(image.stat().st_size * share)])
    with FileServer(item.parent) as server:
        refused(server.url("item.json"), f"{server.host}/B04.tif", block=Block(1400, 1400, 9, 9))


def test_a_server_without_ranges(item, unpaused):
    with FileServer(item.parent, ranges=False) as server:
        refused(server.url("item.json"), "B04.tif cannot be opened", "requests for ranges")


def test_an_answer_that_is_not_json(item, unpaused):
    item.write_text("<html>Sign in</html>")
    with FileServer(item.parent) as server:
        refused(server.url("item.json"), "is not JSON", "browser")


def test_an_answer_without_end(item, unpaused, monkeypatch):
    monkeypatch.setattr("labeling.scenes.products.stac.item.LARGEST", 100)
    with FileServer(item.parent) as server:
        refused(server.url("item.json"), "is larger than")


def test_a_remote_item_does_not_name_files_of_this_machine(item, unpaused):
    edit(item, lambda content: content["assets"]["red"].update(href=f"file://{item.parent}/B04.tif"))
    with FileServer(item.parent) as server:
        refused(server.url("item.json"), "of this machine", "must not")
    assert local(item).valid.all()


@pytest.mark.parametrize("address", ["gs://bucket/item.json", "ftp://host/a.tif"])
def test_other_protocols_are_refused_with_the_way_out(address):
    with pytest.raises(SceneError, match=r"://…; files, http, https and s3 .* Fetch it"), open_scene(address):
        pass
