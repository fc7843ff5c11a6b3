"""URIs: paths stay paths, URLs stay whole, and what signs them is never shown."""

import contextlib
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from labeling.errors import SceneError
from labeling.files.uri import absolute, gdal_path, is_url, join, parse, shown, stem, suffix

SIGNED = "https://user:pass@host.example:8080/a/S2A_item.json?X-Amz-Signature=s3cret&x=1#S2A"


def test_urls_are_told_from_paths(tmp_path, monkeypatch):
    for url in ("http://h/a", "HTTPS://h/a", "s3://bucket/key", SIGNED):
        assert is_url(url)
        assert absolute(url) == url
    for path in ("/a/b.tif", "a.tif", "https", "http:/h/a", "ftp://h/a", "C:\\a"):
        assert not is_url(path)
    monkeypatch.chdir(tmp_path)
    assert absolute("a/b.tif") == f"{tmp_path}/a/b.tif"


@pytest.mark.parametrize(
    ("uri", "location", "item"),
    [
        ("/a/items.json#S2A_x", "/a/items.json", "S2A_x"),
        ("items.GeoJSON#a#b", "items.GeoJSON", "a#b"),
        ("/run #3/items.json", "/run #3/items.json", None),
        ("/run#3/a.tif", "/run#3/a.tif", None),
        ("https://h/search?limit=3#S2A", "https://h/search?limit=3", "S2A"),
        ("https://h/items/S2A", "https://h/items/S2A", None),
    ],
)
def test_parts(uri, location, item):
    assert parse(uri) == (location, item)


@pytest.mark.parametrize(
    ("uri", "name", "ending"),
    [
        ("/a/S2A_MSIL1C.SAFE", "S2A_MSIL1C", ".safe"),
        ("/a/scene.v2.tif", "scene.v2", ".tif"),
        ("/a/items.json#S2A_x", "S2A_x", ".json"),
        ("https://h/c/items/S2B_22MHD_20230912_0_L2A", "S2B_22MHD_20230912_0_L2A", ""),
        ("https://h/c/items/S2A_N05.00", "S2A_N05.00", ".00"),
        ("https://h/a/S2A.json?sig=x/y.tif", "S2A", ".json"),
        ("https://h/a/S2A.TIF", "S2A", ".tif"),
        (SIGNED, "S2A", ".json"),
        ("https://h/a%20b.tif", "a b", ".tif"),
    ],
)
def test_names(uri, name, ending):
    assert (stem(uri), suffix(uri)) == (name, ending)


def test_what_signs_is_not_shown():
    assert shown(SIGNED) == "https://host.example:8080/a/S2A_item.json#S2A"
    assert shown("/a/b?c#d.tif") == "/a/b?c#d.tif"
    assert "s3cret" not in shown("https://[broken/a?sig=s3cret")


@given(query=st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#")))
def test_no_query_is_ever_shown(query):
    assert shown(f"https://h/a.tif?key={query}") == "https://h/a.tif"


@pytest.mark.parametrize(
    ("base", "href", "place"),
    [
        ("/c/item.json", "B04.tif", "/c/B04.tif"),
        ("/c/item.json", "./a b/B04.tif", "/c/a b/B04.tif"),
        ("/c/item.json", "/d/B04.tif", "/d/B04.tif"),
        ("/c/item.json", "file:///d/a%20b.tif", "/d/a b.tif"),
        ("/c/item.json", "FILE://localhost/d/a.tif", "/d/a.tif"),
        ("/c/item.json", "https://h/B04.tif?s=1", "https://h/B04.tif?s=1"),
        ("/c/item.json", "s3://eodata/B04.jp2", "s3://eodata/B04.jp2"),
        ("https://h/c/item.json?sig=1", "B04.tif", "https://h/c/B04.tif"),
        ("https://h/c/item.json", "../B04.tif?s=2", "https://h/B04.tif?s=2"),
        ("https://h/c/item.json", "/d/B04.tif", "https://h/d/B04.tif"),
        ("https://h/c/item.json", "//g/B04.tif", "https://g/B04.tif"),
    ],
)
def test_links_lead_where_they_say(base, href, place):
    assert join(base, href) == place


@pytest.mark.parametrize(
    ("base", "href", "words"),
    [
        ("https://h/item.json?sig=s3cret", "file:///etc/x.tif", r"https://h/item\.json names .*must not"),
        ("/c/item.json", "az://container/B04.tif", r"names az://…; files, http, https and s3"),
        ("https://h/item.json", "//[x/B04.tif", r"names '//\[x/B04\.tif', no address"),
    ],
)
def test_links_that_are_not_followed(base, href, words):
    with pytest.raises(SceneError, match=words):
        join(base, href)


@given(href=st.text(max_size=30))
def test_no_link_upsets_them(href):
    for base in ("/c/item.json", "https://h/c/item.json"):
        with contextlib.suppress(SceneError):
            assert isinstance(join(base, href), str)


def test_names_for_gdal():
    assert gdal_path("/a/b.tif") == "/a/b.tif"
    assert gdal_path("https://h/b.tif?sig=1") == "/vsicurl/https://h/b.tif?sig=1"
    assert gdal_path("S3://bucket/key/b.jp2") == "/vsis3/bucket/key/b.jp2"


@given(st.text(max_size=30))
@example("[?")
@example("h/items.json#item?sig=1")
def test_no_text_upsets_them(text):
    for uri in (text, f"https://{text}", f"s3://{text}"):
        location, item = parse(uri)
        assert (location, item) == (uri, None) or uri.startswith(location)
        assert isinstance(suffix(uri), str)
        assert isinstance(stem(uri), str)
        assert re.search(r"\?", shown(uri)) is None or not is_url(uri)
