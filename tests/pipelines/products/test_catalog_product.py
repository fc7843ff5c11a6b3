"""The catalogue of a run: opened by PySTAC from another folder and over HTTP, valid, with all its files."""

import functools
import hashlib
import http.server
import json
import threading
import urllib.request
from pathlib import Path

import numpy as np
import pystac
import pystac.validation.stac_validator
import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_factory import RunFactory

from labeling.errors import ConfigError
from labeling.files.cogs.legend import class_legend
from labeling.files.layout import read_done, write_done
from labeling.results.assets import ItemAsset
from labeling.results.item import ITEM, write_item
from pipelines.engine.outcome import ExitCode
from pipelines.products.catalog import _around
from pipelines.products.config import ProductsConfig
from pipelines.products.job import run

TIMES = {"first": "2019-11-03T20:15:01+00:00", "second": "2019-11-10T20:15:01+00:00", "third": None}


@pytest.fixture
def made(tmp_path):
    factory = RunFactory(tmp_path)
    rng = np.random.default_rng(3)
    for at, (name, time) in enumerate(TIMES.items()):
        classes = rng.choice(np.array([0, 1, 2, 255], np.uint8), (80, 120))
        factory.add(name, classes, classes)
        row = factory._rows[-1]
        place = [10, 0, 200_000 * at, 0, -10, -1_250_000]
        factory._rows[-1] = row._replace(info=row.info._replace(sensing_time=time, transform=place))
    made_run = factory.write()
    for row in factory._rows:
        for folder, file in (
            (made_run.labels(row.scene_id), "labels.tif"),
            (made_run.maps(row.scene_id), "classes.tif"),
        ):
            done = read_done(folder)
            pixels = done["pixels"]
            written = write_item(
                folder / ITEM, row.info, item_id=f"{row.scene_id}-{file[:-4]}",
                assets=[ItemAsset(file, "Ice classes", legend=class_legend("polynya"), counts=pixels)],
            )  # fmt: skip
            write_done(folder, done["inputs"], [file, ITEM] if written else [file], pixels=pixels)
    return made_run


def products(made_run, *names, **options):
    options = {"products": list(names), "spark": {"master": "local[2]"}} | options
    return run(ProductsConfig(run=made_run.root, **options))


@pytest.fixture
def offline(monkeypatch):
    """PySTAC's validation by the schemas that it brings; extensions may say what they like."""
    validator = pystac.validation.stac_validator.JsonSchemaSTACValidator()
    for name in (
        "projection/v2.0.0",
        "classification/v2.0.0",
        "file/v2.1.0",
        "render/v2.0.0",
        "raster/v2.0.0",
    ):
        uri = f"https://stac-extensions.github.io/{name}/schema.json"
        validator.schema_cache[uri] = {"$schema": "http://json-schema.org/draft-07/schema#", "$id": uri}
    pystac.validation.set_validator(validator)
    yield
    pystac.validation.set_validator(pystac.validation.stac_validator.JsonSchemaSTACValidator())


def served(folder):
    handler = functools.partial(QuietHandler, directory=folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def read(href):
    if not href.startswith("http"):
        return Path(href).read_bytes()
    with urllib.request.urlopen(href) as answer:
        return answer.read()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_a_run_that_was_moved_is_opened_from_there_and_over_http(made, tmp_path, offline):
    outcome = products(made, "catalog")
    assert outcome.exit_code == ExitCode.SOME_FAILED
    [failure] = outcome.failures
    assert failure.scene == "third"
    assert "when it was taken" in failure.reason
    moved = tmp_path / "elsewhere" / "kept"
    moved.parent.mkdir()
    made.root.rename(moved)
    server = served(moved)
    try:
        for start in (str(moved), f"http://127.0.0.1:{server.server_port}"):
            catalog = pystac.Catalog.from_file(f"{start}/products/catalog/catalog.json")
            assert catalog.validate_all() == 4
            assert [child.id for child in catalog.get_children()] == ["labels", "maps"]
            items = list(catalog.get_items(recursive=True))
            assert sorted(item.id for item in items) == sorted(
                f"{scene}-{room}" for scene in ("first", "second") for room in ("labels", "classes")
            )
            for item in items:
                assert item.get_collection().get_item(item.id) is not None
                for asset in item.assets.values():
                    href = asset.get_absolute_href()
                    assert href.startswith(start)
                    content = read(href)
                    assert asset.extra_fields["file:size"] == len(content)
                    assert asset.extra_fields["file:checksum"][4:] == hashlib.sha256(content).hexdigest()
    finally:
        server.shutdown()
        server.server_close()


def test_links_between_its_files_are_relative_and_lead_to_files(made):
    products(made, "catalog")
    folder = made.product("catalog")
    files = [path for path in folder.rglob("*.json") if path.name != "done.json"]
    assert len(files) == 1 + 2 + 4
    for path in files:
        content = json.loads(path.read_text())
        for link in content["links"]:
            if link["rel"] != "derived_from":
                assert link["href"].startswith(".")
                assert (path.parent / link["href"]).resolve() in files
        for asset in content.get("assets", {}).values():
            assert asset["href"].startswith("..")
            assert (path.parent / asset["href"]).resolve().is_file()


def test_collections_say_where_and_when_their_items_are(made):
    products(made, "catalog")
    collection = pystac.Collection.from_file(made.product("catalog") / "maps" / "collection.json")
    times = [time.isoformat() for time in collection.extent.temporal.intervals[0]]
    assert times == [TIMES["first"], TIMES["second"]]
    [box] = collection.extent.spatial.bboxes
    for item in collection.get_items():
        west, south, east, north = item.bbox
        assert box[1] <= south <= north <= box[3]
        assert (west - box[0]) % 360 + (east - west) % 360 <= (box[2] - box[0]) % 360 + 1e-9


@pytest.mark.slow
def test_finished_products_are_files_of_a_collection(made):
    products(made, "statistics", "floes", "catalog")
    collection = pystac.Collection.from_file(made.product("catalog") / "products" / "collection.json")
    assert {"statistics/scenes.csv", "floes/floes.gpkg"} <= collection.assets.keys()
    asset = collection.assets["floes/floes.gpkg"]
    assert asset.media_type == "application/geopackage+sqlite3"
    content = (made.product("floes") / "floes.gpkg").read_bytes()
    assert asset.extra_fields["file:checksum"][4:] == hashlib.sha256(content).hexdigest()


def test_a_rerun_writes_a_catalogue_only_when_something_changed(made):
    products(made, "catalog")
    mark = made.product("catalog") / "done.json"
    before = mark.stat().st_mtime_ns
    products(made, "catalog")
    assert mark.stat().st_mtime_ns == before
    products(made, "catalog", scenes=["first"])
    assert mark.stat().st_mtime_ns > before
    assert not (made.product("catalog") / "maps" / "second-classes").exists()


def test_a_run_of_pictures_has_no_catalogue_and_is_told(made):
    with pytest.raises(ConfigError, match=r"third has no item\.json.*leave it out"):
        products(made, "catalog", scenes=["third"])
    assert not made.product("catalog").exists()


def test_an_item_that_was_changed_is_refused(made):
    path = made.maps("second") / ITEM
    path.write_text(path.read_text().replace("2019", "2020"))
    with pytest.raises(ConfigError, match="is not the file that was finished"):
        products(made, "catalog")
    assert not made.product("catalog").exists()


sides = st.floats(-180, 180)


@given(st.lists(st.tuples(sides, st.floats(0, 359)), min_size=1, max_size=5), st.data())
def test_a_box_around_boxes_holds_each_of_them(boxes, data):
    given_boxes = [[west, -70.0, (west + width + 180) % 360 - 180, -60.0] for west, width in boxes]
    west, _, east, _ = _around(given_boxes)
    span = 360 if (west, east) == (-180, 180) else (east - west) % 360
    for start, width in boxes:
        share = data.draw(st.floats(0, 1))
        assert (start + share * width - west) % 360 <= span + 1e-6 or (
            start + share * width - west
        ) % 360 > 360 - 1e-6
