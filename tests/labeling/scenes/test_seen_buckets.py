"""Scenes in buckets known again by one listing, whose pages are all that is asked of the server."""

import json
from collections import Counter

import numpy as np
import pytest
from conftest import patchwork
from pictures import write_png
from s3_server import S3Server
from safe_writer import ProductSpec, native_dn, write_product
from stac_catalogues import edit

from labeling.errors import StorageError
from labeling.files.object_store import ObjectStore
from labeling.scenes import seen
from labeling.scenes.seen import look_at


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with S3Server(tmp_path_factory.mktemp("s3") / "buckets") as running:
        yield running


@pytest.fixture
def bucket(server, monkeypatch, request):
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    ObjectStore.clear_instance_cache()
    yield server.make_bucket(f"scenes-{abs(hash(request.node.name)) % 10**8}")
    ObjectStore.clear_instance_cache()


@pytest.fixture
def asked(monkeypatch):
    """What is asked of the server, counted."""
    counts = Counter()
    for name in ("ls", "below", "info", "cat_file"):
        whole = getattr(ObjectStore, name)

        def counting(self, *given, _whole=whole, _name=name, **options):
            counts[_name] += 1
            return _whole(self, *given, **options)

        monkeypatch.setattr(ObjectStore, name, counting)
    return counts


def test_many_pictures_are_known_by_one_listing(bucket, asked):
    for number in range(20):
        write_png(bucket / f"many/s{number}.png", patchwork(8, 8, seed=number))
    uris = [f"s3://{bucket.name}/many/s{number}.png" for number in range(20)]
    before = look_at(uris)
    assert list(before) == uris
    assert asked == {"ls": 1}
    assert look_at(uris) == before
    write_png(bucket / "many/s3.png", patchwork(8, 8, seed=99))
    (bucket / "many/S4.PNG.AUX.XML").write_text("<PAMDataset/>")
    (bucket / "many/s1.pgw").write_text("1\n0\n0\n-1\n0\n0\n")
    after = look_at(uris)
    changed = [uri for uri in uris if after[uri] != before[uri]]
    assert changed == [uris[1], uris[3], uris[4]]


def test_few_in_a_folder_that_may_hold_millions_are_not_looked_for(bucket, asked):
    uris = [f"s3://{bucket.name}/few/s{number}.png" for number in range(seen._LEAST_LISTED - 1)]
    assert look_at(uris) == {}
    assert not asked


def test_products_in_a_bucket_are_known_by_all_of_their_objects(bucket, monkeypatch, asked):
    monkeypatch.setattr(seen, "_LEAST_LISTED", 2)
    uris = []
    for tile in ("58CDU", "58CDV"):
        spec = ProductSpec("L1C", tile=tile)
        product = write_product(bucket, native_dn(np.full((13, 60, 60), 0.3), spec), spec)
        uris.append(f"s3://{bucket.name}/{product.name}")
    before = look_at(uris)
    assert list(before) == uris
    assert asked["below"] == asked["ls"] == 1
    assert not asked["cat_file"]
    file = next((bucket / uris[1].rpartition("/")[2]).rglob("*B04*.jp2"))
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    after = look_at(uris)
    assert after[uris[0]] == before[uris[0]]
    assert after[uris[1]] != before[uris[1]]


@pytest.fixture
def items(bucket):
    """Items with two files each, and a list of them in another folder that names the same files."""
    features = []
    for name in "abc":
        for band in ("red", "scl"):
            write_png(bucket / f"in/{name}-{band}.png", patchwork(8, 8))
        assets = {band: {"href": f"./{name}-{band}.png"} for band in ("red", "scl")}
        features.append({"type": "Feature", "stac_version": "1.0.0", "id": name, "assets": assets})
        (bucket / f"in/{name}.json").write_text(json.dumps(features[-1]))
    return [f"s3://{bucket.name}/in/{name}.json" for name in "abc"]


def test_items_in_a_bucket_are_known_by_a_listing_of_what_they_name(items, bucket, monkeypatch, asked):
    monkeypatch.setattr(seen, "_LEAST_LISTED", 9)
    before = look_at(items)
    assert list(before) == items
    assert asked == {"ls": 1, "info": 3, "cat_file": 3}
    assert look_at(items) == before
    write_png(bucket / "in/b-scl.png", patchwork(8, 8, seed=5))
    edit(bucket / "in/c.json", lambda item: item.update(id="d"))
    after = look_at(items)
    assert [uri for uri in items if after[uri] != before[uri]] == items[1:]


def test_an_item_in_a_bucket_with_a_file_elsewhere_or_nowhere_is_not_known(items, bucket, monkeypatch):
    monkeypatch.setattr(seen, "_LEAST_LISTED", 4)
    edit(bucket / "in/a.json", lambda item: item["assets"]["red"].update(href="https://host.example/a.png"))
    (bucket / "in/b-red.png").unlink()
    assert list(look_at(items)) == items[2:]


def test_an_item_that_cannot_be_read_now_is_not_known_by_itself_alone(items, monkeypatch):
    monkeypatch.setattr(seen, "_LEAST_LISTED", 4)
    read = ObjectStore.cat_file

    def down(self, path, *given, **options):
        if path.endswith("b.json"):
            raise StorageError("the server does not answer")
        return read(self, path, *given, **options)

    monkeypatch.setattr(ObjectStore, "cat_file", down)
    assert list(look_at(items)) == [items[0], items[2]]


def test_a_few_items_list_no_folder_that_may_hold_millions(items, asked):
    assert look_at(items) == {}
    assert not asked["ls"]
