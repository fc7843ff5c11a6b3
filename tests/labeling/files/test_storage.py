"""Buckets: paths in them, scenes from them, and what is said when a server does not play along."""

import json
import pickle
import shutil
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest
import rasterio
from conftest import patchwork, planar
from hypothesis import given
from hypothesis import strategies as st
from obstore.store import MemoryStore
from pictures import write_png, write_tif
from rasterio._env import get_gdal_config
from rasterio.crs import CRS
from rasterio.transform import from_origin
from s3_server import KEY_ID, SECRET, S3Server
from safe_writer import ProductSpec, native_dn, write_product
from stac_catalogues import write_item
from stack_writer import write_stack

import labeling.files.locks.folder
from labeling.bands import BLUE, GREEN, RED
from labeling.errors import ConfigError, SceneError, StorageError
from labeling.files import s3
from labeling.files.atomic import refilling, remove, replacing
from labeling.files.cogs.legend import class_legend
from labeling.files.cogs.write import write_codes
from labeling.files.layout import Run, is_done, make_run, read_failures, record_failures, write_done
from labeling.files.locks.folder import run_lock
from labeling.files.locks.holder import introduce
from labeling.files.object_store import ObjectStore
from labeling.files.raster import check_beside, open_raster
from labeling.files.storage import at, is_s3, read_range
from labeling.files.uri import join
from labeling.grid import Block
from labeling.scenes.open import list_scenes, open_scene
from labeling.stages.planes import FilePlanes
from pipelines.catalog import expand

SIZE = 120
WHOLE = Block(0, 0, SIZE, SIZE)
VARIABLES = (
    *s3.CREDENTIALS, "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3",
    "AWS_S3_ENDPOINT", "AWS_HTTPS", "AWS_VIRTUAL_HOSTING", "AWS_REGION", "AWS_DEFAULT_REGION",
    "AWS_NO_SIGN_REQUEST", "AWS_SKIP_SIGNATURE",
)  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with S3Server(tmp_path_factory.mktemp("s3") / "buckets") as running:
        yield running


@pytest.fixture
def environment(monkeypatch):
    """Return a function that sets AWS's variables; none is set at first."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)

    def choose(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        ObjectStore.clear_instance_cache()

    choose()
    yield choose
    ObjectStore.clear_instance_cache()


@pytest.fixture
def bucket(server, environment, request):
    """The folder of the objects in an empty bucket `data`."""
    environment(**server.environment)
    yield server.make_bucket("data")
    shutil.rmtree(server.folder / "data")


@pytest.fixture
def run(bucket):
    return make_run(at("s3://data/run"))


def objects(folder):
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def put(path, content=b"x"):
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return path


def half_written(path):
    path.write_bytes(b"half")
    raise ZeroDivisionError


# Paths


def test_paths_of_this_machine_stay_what_they_are():
    assert at("a/b.tif").__class__.__module__ == "pathlib"
    assert [is_s3(place) for place in ("s3:/a", "/s3://a", "S3://a/b")] == [False, False, True]
    assert at("S3://a/b") == at("s3://a/b")


def test_a_path_has_the_names_of_pathlib(bucket):
    path = at("s3://data/run/labels/a/labels.tif")
    assert (path.name, path.stem, path.suffix) == ("labels.tif", "labels", ".tif")
    assert str(path.parent / "done.json") == "s3://data/run/labels/a/done.json"
    assert not path.is_file()
    assert not path.parent.is_dir()
    put(path, b"12345")
    assert path.is_file()
    assert path.parent.is_dir()
    assert not path.is_dir()
    assert (path.read_bytes(), path.stat().st_size) == (b"12345", 5)
    path.unlink()
    path.unlink(missing_ok=True)
    assert objects(bucket) == []


def test_a_path_crosses_to_other_processes_without_credentials(bucket):
    path = put(at("s3://data/a"))
    told = pickle.dumps(path)
    assert pickle.loads(told).read_bytes() == b"x"
    for secret in (SECRET, KEY_ID):
        assert secret.encode() not in told
        assert secret not in repr(path) + repr(path.fs) + str(path.fs.to_dict())


@given(st.integers(0, 30), st.integers(1, 30))
def test_a_range_is_read_alike_here_and_there(tmp_path_factory, start, count):
    file = tmp_path_factory.getbasetemp() / "ranges"
    file.write_bytes(bytes(range(20)))
    assert read_range(file, start, count) == bytes(range(20))[start : start + count]


@pytest.mark.parametrize(("start", "count"), [(0, 20), (0, 5), (7, 5), (15, 5), (15, 50)])
def test_a_range_of_an_object(bucket, start, count):
    path = put(at("s3://data/a"), bytes(range(20)))
    assert read_range(path, start, count) == bytes(range(20))[start : start + count]


# Whole or absent


def test_an_object_appears_when_it_is_complete(bucket):
    path = at("s3://data/a.bin")
    with replacing(path) as temporary:
        temporary.write_bytes(b"new")
        assert objects(bucket) == []
    assert objects(bucket) == ["a.bin"]
    assert not temporary.exists()


def test_an_error_leaves_the_object_as_it_was(bucket):
    path = put(at("s3://data/a.bin"), b"old")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        half_written(temporary)
    assert path.read_bytes() == b"old"
    assert not temporary.exists()


def test_a_large_object_appears_whole_too(bucket):
    content = np.random.default_rng(1).bytes(12 << 20)  # sent in parts
    assert put(at("s3://data/large"), content).read_bytes() == content
    assert objects(bucket) == ["large"]


def test_removing_takes_all_below_and_nothing_beside(bucket):
    for name in ("a/1", "a/b/2", "ab/3", "c"):
        put(at(f"s3://data/{name}"))
    remove(at("s3://data/a"))
    assert objects(bucket) == ["ab/3", "c"]
    remove(at("s3://data/c"))
    remove(at("s3://data/absent"))
    # What a server that died while it was written to may leave: a folder, for servers that have those.
    (bucket / "empty" / "folder").mkdir(parents=True)
    remove(at("s3://data/empty"))
    assert objects(bucket) == ["ab/3"]


def test_a_folder_is_refilled_mark_last(bucket):
    chips = at("s3://data/chips")
    for name in ("chips.json", "split=train/old.parquet"):
        put(chips / name)
    with pytest.raises(ZeroDivisionError), refilling(chips, "chips.json") as folder:
        half_written(put(folder / "split=train" / "new.parquet"))
    assert objects(bucket) == ["chips/split=train/new.parquet"]
    assert not (chips / "chips.json").exists()
    with refilling(chips, "chips.json") as folder:
        assert objects(bucket) == []
        put(folder / "chips.json")
    assert objects(bucket) == ["chips/chips.json"]


def test_a_folder_of_this_machine_appears_whole(tmp_path):
    with pytest.raises(ZeroDivisionError), refilling(tmp_path / "chips", "chips.json") as folder:
        half_written(folder / "a")
    assert list(tmp_path.iterdir()) == []


# A run in a bucket


def test_marks_failures_and_rasters_of_a_run(bucket, run):
    folder = run.labels("a")
    codes = np.arange(6400, dtype=np.uint8).reshape(80, 80) % 3
    write_codes(
        folder / "labels.tif", [(Block(0, 0, 80, 80).window, codes)], class_legend(), height=80, width=80,
        crs=CRS.from_epsg(3031), transform=from_origin(0, 0, 10, 10),
    )  # fmt: skip
    write_done(folder, {"x": 1}, ["labels.tif"])
    assert is_done(folder, {"x": 1}, ["labels.tif"])
    assert not is_done(folder, {"x": 2}, ["labels.tif"])
    with open_raster(folder / "labels.tif") as raster:
        np.testing.assert_array_equal(raster.read(1), codes)
    record_failures(run, "label", [{"scene": "b", "reason": f"key {SECRET}"}])
    assert [line["scene"] for line in read_failures(run)] == ["b"]
    assert objects(bucket) == ["run/failures.jsonl", "run/labels/a/done.json", "run/labels/a/labels.tif"]
    assert SECRET not in (bucket / "run" / "failures.jsonl").read_text()
    record_failures(run, "label", [])
    assert not run.failures.exists()


def test_layers_between_steps(bucket):
    planes = FilePlanes(at("s3://data/scratch"), height=50, width=70, rows=20, columns=30)
    picture = np.random.default_rng(2).integers(0, 256, (50, 70), np.uint8)
    for row in range(0, 50, 20):
        for column in range(0, 70, 30):
            block = Block(row, column, min(20, 50 - row), min(30, 70 - column))
            planes.put("value", block, picture[block.slices])
            planes.note("row", block, at=np.array([row]))
    for block in (Block(0, 0, 50, 70), Block(15, 25, 10, 40), Block(19, 0, 1, 1), Block(20, 30, 20, 30)):
        np.testing.assert_array_equal(planes.get("value", block), picture[block.slices])
    assert planes.noted("row", Block(40, 60, 10, 10))["at"] == [40]


def test_one_job_at_a_time(bucket, run):
    refusal = pytest.raises(ConfigError, match=r"s3://data/run is in use by label \(host")
    with run_lock(run, "label"), refusal, run_lock(run, "infer"):
        pass
    assert objects(bucket) == []


def test_the_lock_of_an_ended_process_is_taken_over(bucket, run, caplog):
    dead = introduce("label").model_copy(update={"process": "1"})  # that number now is another process
    put(run.root / ".lock", dead.model_dump_json().encode())
    with run_lock(run, "label"):
        assert "ended without a word" in caplog.text
    assert objects(bucket) == []


def test_the_lock_of_another_machine_holds_while_it_is_written(bucket, run, monkeypatch):
    other = introduce("label").model_copy(update={"machine": "another"})
    put(run.root / ".lock", other.model_dump_json().encode())
    with pytest.raises(ConfigError, match="in use by label"), run_lock(run, "infer"):
        pass
    monkeypatch.setattr(labeling.files.locks.folder, "SILENT", -1.0)
    with run_lock(run, "infer"):
        assert objects(bucket) == ["run/.lock"]


# Scenes


def pixels(uri, block=None):
    with open_scene(str(uri)) as scene:
        info = scene.info
        return info, scene.read(block or Block(0, 0, info.height, info.width)).rgb


def test_pictures(bucket):
    rgb = patchwork(90, 110, seed=3)
    tif = write_tif(bucket / "a.tif", planar(rgb), tiled=True, blockxsize=64, blockysize=64)
    png = write_png(bucket / "p" / "b.png", rgb)
    for uri, file in (("s3://data/a.tif", tif), ("s3://data/p/b.png", png)):
        info, found = pixels(uri)
        np.testing.assert_array_equal(found, planar(rgb))
        local, _ = pixels(file)
        changes = {"uri": uri, "modified_ns": 0, "etag": at(uri).etag()}
        assert info == local._replace(**changes)
        assert info.etag


def test_another_object_under_the_name_is_another_scene(bucket):
    write_tif(bucket / "a.tif", planar(patchwork(64, 64, seed=1)))
    before, _ = pixels("s3://data/a.tif")
    write_tif(bucket / "a.tif", planar(patchwork(64, 64, seed=2)))
    after, rgb = pixels("s3://data/a.tif")
    assert before.identity() != after.identity()
    np.testing.assert_array_equal(rgb, planar(patchwork(64, 64, seed=2)))


def products():
    return [ProductSpec("L1C", zipped=True), ProductSpec("L2A", zipped=True)]


def surface(spec):
    coarse = np.random.default_rng(5).uniform(0.01, 1.1, (13, SIZE // 6, SIZE // 6))
    return native_dn(np.repeat(np.repeat(coarse, 6, axis=1), 6, axis=2), spec)


@pytest.mark.parametrize("spec", products(), ids=lambda spec: spec.product_type)
def test_zips_of_products_are_read_in_place(bucket, spec):
    file = write_product(bucket, surface(spec), spec)
    info, found = pixels(f"s3://data/{file.name}")
    local, expected = pixels(file)
    np.testing.assert_array_equal(found, expected)
    assert (info.tile, info.sun_zenith, info.crs) == (local.tile, local.sun_zenith, local.crs)
    assert info.etag == at(info.uri).etag()


def test_a_product_as_a_folder(bucket):
    spec = ProductSpec("L2A")
    folder = write_product(bucket, surface(spec), spec)
    info, found = pixels(f"s3://data/{folder.name}")
    local, expected = pixels(folder)
    np.testing.assert_array_equal(found, expected)
    assert info.bytes == local.bytes
    for place in ("s3://data/", f"s3://data/{folder.name}", f"s3://data/{folder.name}/"):
        assert expand([place]) == [f"s3://data/{folder.name}"]
    (folder / "manifest.safe").write_bytes(b"another")
    assert pixels(info.uri)[0].etag != info.etag


def test_a_stac_item_with_its_images(bucket, tmp_path):
    spec = ProductSpec("L2A", "05.00")
    safe = write_product(tmp_path, surface(spec), spec)
    local = write_item(tmp_path, safe, spec, "earth-search")
    shutil.copytree(tmp_path, bucket / "items")
    with open_scene(str(local)) as here, open_scene("s3://data/items/item.json") as there:
        bands = [RED, GREEN, BLUE]
        np.testing.assert_array_equal(
            there.product.read(WHOLE, bands).values, here.product.read(WHOLE, bands).values
        )
        np.testing.assert_array_equal(there.read(WHOLE).rgb, here.read(WHOLE).rgb)
    assert list_scenes("s3://data/items/item.json")[0].startswith("s3://data/items/item.json")


def test_a_stack(bucket, tmp_path):
    values = np.random.default_rng(1).uniform(0, 1, (3, 72, 72)).astype(np.float32)
    file = write_stack(bucket / "stack.tif", values)
    _, found = pixels("s3://data/stack.tif")
    _, expected = pixels(file)
    np.testing.assert_array_equal(found, expected)


def test_what_lies_beside_a_stack_or_a_picture_is_read_and_part_of_its_state(bucket):
    """As on a disk: names and scale in .aux.xml, a mask in .msk."""
    dn = np.full((3, 72, 72), 7000, np.uint16)
    write_stack(bucket / "stack.tif", dn, scale=1e-4, offset=-0.1, profile="GeoTIFF")
    picture = write_tif(bucket / "a.tif", planar(patchwork(72, 72)))
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(picture, "r+") as raster:
        raster.write_mask(np.full((72, 72), 255, np.uint8))
    for name, beside in (("stack.tif", "stack.tif.aux.xml"), ("a.tif", "a.tif.msk")):
        before, found = pixels(f"s3://data/{name}")
        np.testing.assert_array_equal(found, pixels(bucket / name)[1])
        content = (bucket / beside).read_bytes()
        (bucket / beside).write_bytes(content + b"\n")
        assert pixels(f"s3://data/{name}")[0].identity() != before.identity()


def test_an_item_stands_for_its_files(bucket):
    for name in ("B04.tif", "visual.tif", "other.tif"):
        (bucket / "in" / name).parent.mkdir(exist_ok=True)
        (bucket / "in" / name).write_bytes(b"x")
    hrefs = {"red": {"href": "./B04.tif"}, "visual": {"href": "s3://data/in/visual.tif"}}
    item = {"type": "Feature", "stac_version": "1.0.0", "id": "item", "assets": hrefs}
    (bucket / "in/item.json").write_text(json.dumps(item))
    assert expand(["s3://data/in/"]) == ["s3://data/in/item.json", "s3://data/in/other.tif"]


def test_folders_and_patterns_are_listed(bucket):
    for name in ("in/a.tif", "in/b.PNG", "in/a.truth.tif", "in/notes.txt", "in/deep/c.tif", "in2/d.tif"):
        file = bucket / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    (bucket / "in" / "card.json").write_text("{}")
    below = ["s3://data/in/a.tif", "s3://data/in/b.PNG"]
    assert expand(["s3://data/in/"]) == below
    assert expand(["s3://data/in/*"]) == below
    assert expand(["s3://data/in*/*.tif"]) == ["s3://data/in/a.tif", "s3://data/in2/d.tif"]
    assert expand(["s3://data/in/**/*.tif"]) == ["s3://data/in/a.tif", "s3://data/in/deep/c.tif"]
    assert expand(["s3://data/in/a.tif", "s3://data/in/*.tif"]) == ["s3://data/in/a.tif"]
    assert expand(["s3://data/none.tif"]) == ["s3://data/none.tif"]  # it fails alone, with its reason
    with pytest.raises(ConfigError, match=r"no scenes in s3://data/in/\*.jpg"):
        expand(["s3://data/in/*.jpg"])


@pytest.mark.parametrize(
    ("base", "href", "found"),
    [
        ("s3://b/a/item.json", "./x.tif", "s3://b/a/x.tif"),
        ("s3://b/a/item.json", "../x.tif", "s3://b/x.tif"),
        ("s3://b/item.json", "../../x.tif", "s3://b/x.tif"),
        ("s3://b/a/item.json", "https://h/x.tif", "https://h/x.tif"),
    ],
)
def test_links_of_an_item_in_a_bucket(base, href, found):
    assert join(base, href) == found


# What goes wrong


def refused(uri, *words):
    with pytest.raises(SceneError) as caught, open_scene(uri):
        pass
    for word in (uri, *words):
        assert word in str(caught.value), str(caught.value)
    assert SECRET not in str(caught.value)


def test_no_such_bucket_or_object(bucket):
    refused("s3://data/none.tif", "no such bucket or object")
    refused("s3://nobucket/a.tif", "no such bucket or object")
    refused("s3://data/items.json", "no such bucket or object")
    refused("s3://data/none/", "no such bucket or object")
    with pytest.raises(ConfigError, match=r"cannot write to the run folder s3://nobucket/run: .*--out"):
        make_run(at("s3://nobucket/run"))


def test_an_empty_object(bucket):
    (bucket / "a.tif").touch()
    refused("s3://data/a.tif", "is empty")


def test_wrong_credentials(bucket, server, environment):
    write_tif(bucket / "a.tif", planar(patchwork(64, 64)))
    environment(**server.environment | {"AWS_SECRET_ACCESS_KEY": "wrong" * 8})
    refused("s3://data/a.tif", "refuses (403 Forbidden", "AWS_SECRET_ACCESS_KEY")
    assert expand(["s3://data/"]) == ["s3://data/"]
    refused("s3://data/", "refuses (403 Forbidden")
    with pytest.raises(ConfigError, match=r"cannot write .*refuses \(403 Forbidden, SignatureDoesNotMatch"):
        make_run(at("s3://data/run"))


def test_no_credentials(environment, server):
    environment(AWS_ENDPOINT_URL=server.environment["AWS_ENDPOINT_URL"])
    refused("s3://data/a.tif", "the environment holds no credentials; set AWS_ACCESS_KEY_ID")


def test_a_server_that_is_down(environment, server):
    environment(**server.environment | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    refused("s3://data/a.tif", "http://127.0.0.1:9 does not answer", "AWS_ENDPOINT_URL")
    # Not: "there is nothing", which would have all done once more.
    with pytest.raises(StorageError):
        Run(at("s3://data/run")).catalog.is_file()


@pytest.fixture
def poor_server(environment):
    """Return a list for the answers of a server that has one object, a/b, and says no to its deletion."""
    answers = []

    class Server(BaseHTTPRequestHandler):
        def answer(self):
            entry = "<Key>a/b</Key><Size>1</Size><LastModified>2026-01-01T00:00:00Z</LastModified>"
            listed = f"<IsTruncated>false</IsTruncated><Contents>{entry}</Contents>"
            result = f"<ListBucketResult>{listed}</ListBucketResult>"
            content = (result if self.command == "GET" else answers[0]).encode()
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = answer  # noqa: N815 - the names it is called by

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        environment(AWS_ENDPOINT_URL=url, AWS_ACCESS_KEY_ID=KEY_ID, AWS_SECRET_ACCESS_KEY=SECRET)
        yield answers
        server.shutdown()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("InternalError", "the server answers InternalError; run again later"),
        ("AccessDenied", r"the server refuses \(AccessDenied\); check AWS_ACCESS_KEY_ID"),
    ],
)
def test_a_server_that_does_not_delete(poor_server, code, words):
    error = f"<Error><Key>a/b</Key><Code>{code}</Code><Message>No.</Message></Error>"
    poor_server.append(f'<?xml version="1.0" encoding="UTF-8"?>\n<DeleteResult>{error}</DeleteResult>')
    with pytest.raises(StorageError, match=words):
        remove(at("s3://data/a"))


# The environment


@pytest.mark.parametrize(
    ("variables", "url", "gdal"),
    [
        ({}, None, {}),
        ({"AWS_ENDPOINT_URL": "http://h:90/"}, "http://h:90", {"AWS_S3_ENDPOINT": "h:90", "AWS_HTTPS": "NO"}),
        ({"AWS_ENDPOINT_URL": "https://h"}, "https://h", {"AWS_S3_ENDPOINT": "h", "AWS_HTTPS": "YES"}),
        ({"AWS_S3_ENDPOINT": "h:90"}, "https://h:90", {"AWS_S3_ENDPOINT": "h:90", "AWS_HTTPS": "YES"}),
        ({"AWS_S3_ENDPOINT": "h", "AWS_HTTPS": "no"}, "http://h", {"AWS_HTTPS": "NO"}),
        ({"AWS_S3_ENDPOINT": "http://h"}, "http://h", {"AWS_S3_ENDPOINT": "h", "AWS_HTTPS": "NO"}),
        ({"AWS_ENDPOINT_URL": "https://a", "AWS_ENDPOINT_URL_S3": "https://b"}, "https://b", {}),
        ({"AWS_ENDPOINT_URL": "https://a"}, "https://a", {"AWS_VIRTUAL_HOSTING": "FALSE"}),
        ({"AWS_DEFAULT_REGION": "eu-north-1"}, None, {"AWS_REGION": "eu-north-1"}),
        ({"AWS_SKIP_SIGNATURE": "true"}, None, {"AWS_NO_SIGN_REQUEST": "YES"}),
    ],
)
def test_one_set_of_variables_serves_both_clients(environment, variables, url, gdal):
    environment(**variables)
    assert s3.endpoint() == url
    assert gdal.items() <= s3.gdal_options().items()
    assert url or "AWS_S3_ENDPOINT" not in s3.gdal_options()


def test_signing_is_asked_for_again_after_a_public_bucket(environment, monkeypatch):
    """Rasterio keeps what it found in the environment."""
    environment(AWS_NO_SIGN_REQUEST="YES")
    with rasterio.Env(**s3.gdal_options()):
        pass
    monkeypatch.delenv("AWS_NO_SIGN_REQUEST")
    environment(AWS_ACCESS_KEY_ID=KEY_ID, AWS_SECRET_ACCESS_KEY=SECRET)
    with rasterio.Env(**s3.gdal_options()):
        assert get_gdal_config("AWS_NO_SIGN_REQUEST") == "NO"


def test_gdal_is_told_no_credentials(environment):
    environment(AWS_ACCESS_KEY_ID=KEY_ID, AWS_SECRET_ACCESS_KEY=SECRET, AWS_SESSION_TOKEN="t" * 40)
    assert not {KEY_ID, SECRET, "t" * 40} & set(map(str, s3.gdal_options().values()))


def test_of_two_who_write_on_a_condition_one_succeeds():
    """On obstore's own store in memory, which honours conditions, as AWS does."""
    files = ObjectStore(skip_instance_cache=True)
    files._buckets["data"] = MemoryStore()
    assert files.write_if("data/lock", b"first", None)
    assert not files.write_if("data/lock", b"second", None)
    state = files.info("data/lock")["e_tag"]
    assert files.write_if("data/lock", b"first again", state)
    assert not files.write_if("data/lock", b"second", state)
    assert files.cat_file("data/lock") == b"first again"


@pytest.mark.parametrize("name", ["a.tif.ovr", "a.tif.OVR", "A.MSK", "a.aux"])
def test_what_lies_beside_a_raster_is_looked_at_in_a_bucket_too(bucket, name):
    for key in ("a.tif", "ab.tif", "ab.tif.ovr"):
        put(at(f"s3://data/scenes/{key}"))
    check_beside(at("s3://data/scenes/a.tif"))
    put(at(f"s3://data/scenes/{name}"), b"EHFA_HEADER_TAG" if name.endswith("aux") else b"<VRTDataset/>")
    with pytest.raises(SceneError, match=rf"s3://data/scenes/{name} lies where"):
        check_beside(at("s3://data/scenes/a.tif"))
