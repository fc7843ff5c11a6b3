"""Lists of STAC items: one scene each, every one told from the others, and from its own earlier state."""

import json
import os
import time

import numpy as np
import pytest
from rasterio.transform import from_origin
from stac_catalogues import edit, write_cog
from stac_server import FileServer

from labeling.bands import RED
from labeling.errors import SceneError
from labeling.files.fetch import fetch
from labeling.files.links import VARIABLE
from labeling.files.uri import stem
from labeling.grid import Block
from labeling.scenes.open import list_scenes, open_scene
from labeling.scenes.products.stac import item
from labeling.scenes.products.stac.reader import has_items, open_stac

SIZE = 60
IDS = [f"S2B_58CD{letter}_20191103_0_L2A" for letter in "UVW"]


@pytest.fixture
def items(tmp_path):
    """A list of three items beside their images, whose reflectance is 0.1, 0.2 and 0.3."""
    features = []
    for number, name in enumerate(IDS, start=1):
        place = {"crs": "EPSG:32758", "transform": from_origin(100_000 * number, 1_700_040, 10, 10)}
        write_cog(tmp_path / f"{name}.tif", np.full((SIZE, SIZE), 1000 * number, np.uint16), place)
        asset = {"href": f"{name}.tif", "raster:bands": [{"scale": 0.0001, "offset": 0}]}
        features.append(
            {
                "type": "Feature",
                "stac_version": "1.0.0",
                "id": name,
                "collection": "sentinel-2-l2a",
                "properties": {"platform": "sentinel-2b", "datetime": "2019-11-03T20:39:01Z"},
                "assets": dict.fromkeys(("red", "green", "blue"), asset),
            }
        )
    path = tmp_path / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def refused(call, *words):
    with pytest.raises(SceneError) as caught:
        call()
    for word in words:
        assert word in str(caught.value), str(caught.value)


def open_and_close(uri):
    with open_stac(uri):
        pass


def test_a_list_becomes_one_scene_for_each_item(items):
    uris = list_scenes(str(items))
    assert uris == [f"{items}#{name}" for name in IDS]
    assert [stem(uri) for uri in uris] == IDS
    assert has_items(items)
    assert list_scenes("/a/b.tif") == ["/a/b.tif"]
    for uri, reflectance in zip(uris, (0.1, 0.2, 0.3), strict=True):
        assert list_scenes(uri) == [uri]
        with open_scene(uri) as scene:
            assert scene.info.uri == uri
            assert scene.product.read(Block(0, 0, 2, 2), [RED]).values[0, 0, 0] == np.float32(reflectance)
            assert len(scene.read(Block(0, 0, 2, 2)).rgb) == 3


def test_an_item_alone_stands_for_itself_under_its_id(items):
    features = json.loads(items.read_text())["features"]
    path = items.with_name("one.geojson")
    path.write_text(json.dumps(features[0]))
    assert list_scenes(str(path)) == [f"{path}#{IDS[0]}"]
    named = path.rename(items.with_name(f"{IDS[0]}.json"))
    assert list_scenes(str(named)) == [str(named)]
    path = named
    with open_stac(str(path)) as (_, state), open_stac(f"{path}#{IDS[0]}") as (_, other):
        assert state == other
        assert state[:2] == (path.stat().st_size, path.stat().st_mtime_ns)
    refused(lambda: open_and_close(f"{path}#{IDS[1]}"), f"{path} lists {IDS[0]}, and {IDS[1]} was asked for")


def test_the_state_is_that_of_the_item_and_not_of_the_list(items):
    def states():
        found = []
        for uri in list_scenes(str(items)):
            with open_stac(uri) as (_, state):
                found.append(state)
        return found

    before = states()
    assert len(set(before)) == 3

    def change_the_second(content):
        content["features"][1]["properties"]["datetime"] = "2019-11-04T00:00:00Z"

    edit(items, change_the_second)
    after = states()
    assert (after[0], after[2]) == (before[0], before[2])
    assert after[1] != before[1]


def test_signing_again_changes_no_state(items, monkeypatch):
    monkeypatch.setenv(VARIABLE, "http://127.0.0.1:9")

    def sign(signature):
        def change(content):
            for asset in content["features"][0]["assets"].values():
                asset["href"] = f"http://127.0.0.1:9/B04.tif?sig={signature}"
                asset["alternate"] = {"local": {"href": f"{IDS[0]}.tif"}}

        with open_stac(f"{edit(items, change)}#{IDS[0]}") as (_, state):
            return state

    # Nobody listens there, so the copy is read: all that differs is the signature.
    assert sign("one") == sign("two")


def test_ids_that_are_not_there(items):
    refused(lambda: open_and_close(f"{items}#S2X"), f"{items} lists {IDS[0]}", "S2X was asked for", "#ID")
    refused(lambda: open_and_close(str(items)), "none of them was asked for")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"type": "FeatureCollection", "features": [], "links": None}, "lists no items"),
        ({"type": "FeatureCollection"}, "without a list of features"),
        ({"type": "FeatureCollection", "features": ["x"]}, "without a list of features"),
        ({"type": "FeatureCollection", "features": [{"id": "a"}, {"id": "a"}]}, "lists a more than once"),
    ],
)
def test_lists_that_cannot_be_used(tmp_path, content, words):
    path = tmp_path / "items.json"
    path.write_text(json.dumps(content))
    refused(lambda: list_scenes(str(path)), words, str(path))
    refused(lambda: open_and_close(str(path)), words, str(path))


def test_a_page_of_a_search_is_taken_from_a_file_but_not_from_its_server(items):
    edit(items, lambda content: content.update(links=[{"rel": "next", "href": "https://h/search?page=2"}]))
    assert len(list_scenes(str(items))) == 3
    with FileServer(items.parent) as server:
        address = server.url("items.json?limit=3")
        refused(lambda: list_scenes(address), "is one page of a longer list", "FeatureCollection", "limit=")
        refused(lambda: open_and_close(f"{address}#{IDS[0]}"), "is one page of a longer list")
        edit(items, lambda content: content.update(links=[{"rel": "self", "href": address}]))
        uris = list_scenes(address)
        assert uris == [f"{address}#{name}" for name in IDS]
        assert [stem(uri) for uri in uris] == IDS
        with open_stac(uris[2]) as (item, state):
            assert item.read(Block(0, 0, 2, 2), [RED]).values[0, 0, 0] == np.float32(0.3)
            assert state.etag.startswith("sha256:")


@pytest.mark.parametrize("links", [5, {"a": 1}, None, [5]])
def test_a_servers_list_may_have_links_of_any_shape(items, links):
    edit(items, lambda content: content.update(links=links))
    with FileServer(items.parent) as server:
        assert len(list_scenes(server.url("items.json"))) == 3


def test_a_long_list_is_read_and_parsed_once(items, monkeypatch):
    content = json.loads(items.read_text())
    some = content["features"][0]
    content["features"] = [some | {"id": f"S2B_58CDU_20191103_{number}_L2A"} for number in range(3000)]
    items.write_text(json.dumps(content))
    read = []
    monkeypatch.setattr(item, "fetch", lambda *asked: read.append(asked) or fetch(*asked))
    names = [feature["id"] for feature in content["features"]]
    began = time.monotonic()
    assert [item.find_item(f"{items}#{name}").item.id for name in names] == names
    assert time.monotonic() - began < 30  # minutes, when it was parsed for each
    assert len(read) == 1
    content["features"] = content["features"][:5]
    items.write_text(json.dumps(content))
    assert item.find_item(f"{items}#{names[4]}").item.id == names[4]
    refused(lambda: item.find_item(f"{items}#{names[5]}"), "lists", "was asked for")
    assert len(read) == 3


def test_a_list_on_a_server_is_fetched_once_while_it_is_the_same(items):
    with FileServer(items.parent) as server:
        for _ in range(2):
            for name in IDS:
                item.find_item(f"{server.url(items.name)}#{name}")
        assert server.sent(items.name) < 2 * items.stat().st_size
        items.write_text(items.read_text() + " ")
        os.utime(items, ns=(1, 1))
        item.find_item(f"{server.url(items.name)}#{IDS[0]}")
        assert server.sent(items.name) > 2 * items.stat().st_size
