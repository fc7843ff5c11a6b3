"""Links of items lead to their own folder, host or bucket; nobody else is asked until that is allowed."""

import json
import os
from contextlib import suppress

import numpy as np
import pytest
from counting_server import CountingServer
from hypothesis import given
from hypothesis import strategies as st
from stac_server import FileServer
from stack_writer import write_stack

from jobs import label
from labeling.errors import SceneError
from labeling.files.fetch import fetch
from labeling.files.links import VARIABLE, linked, origin_of
from labeling.scenes.open import open_scene


@pytest.fixture(scope="module")
def stranger():
    with CountingServer() as running:
        yield running


def item(folder, href, name="item.json"):
    """Write an item whose red band is elsewhere, and the others beside it; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    write_stack(folder / "B04.tif", np.full((1, 60, 60), 3500, np.uint16), (None,), nodata=0)
    scaling = {"raster:bands": [{"scale": 1e-4, "offset": -0.1}]}
    assets = {band: {"href": "./B04.tif", **scaling} for band in ("B02", "B03")} | {
        "B04": {"href": href, **scaling}
    }
    properties = {"platform": "sentinel-2b", "datetime": "2024-03-01T20:38:59Z", "s2:product_type": "S2MSI1C"}
    content = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "a",
        "properties": properties,
        "assets": assets,
    }
    (folder / name).write_text(json.dumps(content))
    return folder / name


REFUSED = [
    ("/c/item.json", "/vsicurl/http://127.0.0.1/x.tif", "files"),
    ("/c/item.json", "../x.tif", "files"),
    ("/c/item.json", "file:///etc/passwd", "files"),
    ("/c/item.json", "http://127.0.0.1:9/x.tif", "http://127.0.0.1:9"),
    ("/c/item.json", "https://h/x.tif", "h"),
    ("/c/item.json", "s3://bucket/x.tif", "s3://bucket"),
    # Stores of catalogues, in an item that another catalogue or nobody known sent.
    ("/c/item.json", "s3://eodata/x.jp2", "s3://eodata"),
    (
        "/c/item.json",
        "https://sentinel-cogs.s3.us-west-2.amazonaws.com/x",
        "sentinel-cogs.s3.us-west-2.amazonaws.com",
    ),
    ("https://earth-search.aws.element84.com/v1/a", "s3://eodata/x.jp2", "s3://eodata"),
    ("http://stac.dataspace.copernicus.eu/v1/a", "s3://eodata/x.jp2", "s3://eodata"),
    ("https://h/item.json", "s3://eodata/x.jp2", "s3://eodata"),
    ("https://h/item.json", "https://g:8443/x.tif", "g:8443"),
    ("https://h/item.json", "http://h/x.tif", "http://h"),
    ("https://h/item.json", "https://h@g/x.tif", "g"),
    ("https://h/item.json", "//g/x.tif", "g"),
    ("https://h/item.json", "s3://bucket/x.tif", "s3://bucket"),
    ("s3://bucket/item.json", "s3://other/x.tif", "s3://other"),
]


@pytest.mark.parametrize(("base", "href", "entry"), REFUSED)
def test_what_leads_elsewhere_is_refused_and_the_way_out_works(monkeypatch, base, href, entry):
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(SceneError) as caught:
        linked(base, href)
    assert f"allow it: --allow-links {entry} (or {VARIABLE})" in str(caught.value)
    monkeypatch.setenv(VARIABLE, f"other.example, {entry}")
    if "/vsi" in href:
        with pytest.raises(SceneError):
            linked(base, href)
    else:
        assert linked(base, href)


@pytest.mark.parametrize(
    ("base", "href"),
    [
        ("/c/item.json", "x.tif"),
        ("/c/item.json", "/c/deep/x.tif"),
        ("https://h/c/item.json", "https://h/x.tif?sig=1"),
        ("https://H:443/c/item.json", "https://h/x.tif"),
        ("http://h:8080/item.json", "x.tif"),
        ("s3://bucket/item.json", "x.tif"),
        ("https://earth-search.aws.element84.com/v1/a", "https://sentinel-cogs.s3.us-west-2.amazonaws.com/x"),
        ("https://stac.dataspace.copernicus.eu/v1/a", "s3://eodata/x.jp2"),
    ],
)
def test_what_is_its_own_is_followed(monkeypatch, base, href):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert linked(base, href)


@pytest.mark.parametrize("base", ["/c/item.json", "https://h/c/item.json", "s3://bucket/item.json"])
def test_half_a_character_leads_nowhere(base):
    """Found by an hour of fuzzing: JSON lets it pass, and GDAL cannot open it."""
    with pytest.raises(SceneError, match=r"names B03\\ud800\.jp2, which is no text"):
        linked(base, "B03\ud800.jp2")


@given(st.text(max_size=30))
def test_no_link_upsets_them(href):
    for base in ("/c/item.json", "https://h/c/item.json", "s3://bucket/item.json"):
        with suppress(SceneError):
            assert isinstance(linked(base, href), str)


@given(st.text(max_size=30))
def test_no_address_upsets_them(text):
    origin_of(f"https://{text}")


def test_links_that_are_symlinks_or_no_files_are_refused(tmp_path):
    (tmp_path / "elsewhere.tif").touch()
    folder = tmp_path / "items"
    folder.mkdir()
    (folder / "link.tif").symlink_to(tmp_path / "elsewhere.tif")
    os.mkfifo(folder / "pipe.tif")
    with pytest.raises(SceneError, match="--allow-links files"):
        linked(str(folder / "item.json"), "link.tif")
    with pytest.raises(SceneError, match="no regular file"):
        linked(str(folder / "item.json"), "pipe.tif")


@pytest.mark.parametrize("way", ["{url}/x.tif", "/vsicurl/{url}/x.tif"])
def test_an_item_that_names_another_host_asks_nobody_until_that_is_allowed(
    tmp_path, stranger, monkeypatch, way
):
    path, before = item(tmp_path, way.format(url=stranger.url)), len(stranger.asked)
    with pytest.raises(SceneError, match="--allow-links"), open_scene(str(path)):
        pass
    # On a server the second way is a path of its own host, where there is no such file.
    with (
        FileServer(tmp_path) as server,
        pytest.raises(SceneError, match=r"--allow-links|cannot be opened"),
        open_scene(server.url("item.json")),
    ):
        pass
    assert len(stranger.asked) == before
    if way.startswith("{"):
        monkeypatch.setenv(VARIABLE, stranger.url)
        with pytest.raises(SceneError, match="cannot be opened"), open_scene(str(path)):
            pass
        assert len(stranger.asked) > before


def test_the_product_xml_that_an_item_names_is_not_fetched_from_elsewhere(tmp_path, stranger):
    path, before = item(tmp_path, "./B04.tif"), len(stranger.asked)
    content = json.loads(path.read_text())
    for asset in content["assets"].values():
        del asset["raster:bands"]
    for kind in ("product", "granule"):
        content["assets"][f"{kind}-metadata"] = {"href": f"{stranger.url}/x.xml"}
    path.write_text(json.dumps(content))
    with pytest.raises(SceneError, match="--allow-links"), open_scene(str(path)):
        pass
    assert len(stranger.asked) == before


@pytest.mark.slow
def test_a_job_says_how_to_allow_a_link_and_takes_it(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, "")
    item(tmp_path / "data", "./B04.tif")
    path = item(tmp_path / "items", "../data/B04.tif")
    arguments = ["--scenes", str(path), "--out", str(tmp_path / "run"), "--outputs", "labels"]
    arguments += ["--profile", "iqrah-2024-l1c"]
    outcome = label.main(arguments)
    assert outcome.exit_code == 3
    assert "--allow-links files" in outcome.failures[0].reason
    assert label.main([*arguments, "--allow-links", "files"]).exit_code == 0


def test_a_server_that_redirects_to_another_host_is_not_followed(stranger):
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Redirecting(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(302)
            self.send_header("Location", f"{stranger.url}/target")
            self.end_headers()

        def log_message(self, *_):
            pass

    before = len(stranger.asked)
    with HTTPServer(("127.0.0.1", 0), Redirecting) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        with pytest.raises(SceneError, match=r"redirects to .* --allow-links http://127\.0\.0\.1"):
            fetch(f"http://127.0.0.1:{server.server_port}/item.json", 1000)
        server.shutdown()
    assert len(stranger.asked) == before
