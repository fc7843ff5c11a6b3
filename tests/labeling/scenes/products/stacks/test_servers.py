"""GDAL is not sent on by a server to hosts that it may not name, on opening and later."""

import os
from contextlib import contextmanager

import numpy as np
import pytest
from rasterio.transform import from_origin
from stac_catalogues import write_cog
from stac_server import FileServer

from labeling.errors import SceneError
from labeling.files.links import VARIABLE
from labeling.grid import Block
from labeling.scenes.products.stacks import servers
from labeling.scenes.products.stacks.files import raster_files

PLACE = {"crs": "EPSG:32758", "transform": from_origin(399_960, 1_700_040, 10, 10)}
FIRST, LAST = Block(0, 0, 50, 50), Block(1400, 1400, 50, 50)
PROXIES = ("http_proxy", "https_proxy", "all_proxy")


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch):
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.setenv("no_proxy", "127.0.0.0/8")  # of the user, and no way around what is refused
    for name in (*PROXIES, "GDAL_HTTP_PROXY", "GDAL_HTTPS_PROXY"):
        for each in (name, name.upper()):
            monkeypatch.delenv(each, raising=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    dn = np.random.default_rng(0).integers(1000, 9000, (1500, 1500)).astype(np.uint16)
    write_cog(folder / "B04.tif", dn, PLACE)
    return folder


@contextmanager
def two_servers(folder):
    """Yield the server that an item may name, and another host's."""
    with FileServer(folder) as own, FileServer(folder, address="127.0.0.2") as other:
        yield own, other


def read(url, *blocks):
    with raster_files() as files:
        return [files.read([url], 1, block) for block in blocks]


def test_a_server_that_redirects_is_refused_before_the_other_is_asked(folder):
    with two_servers(folder) as (own, other):
        own.redirect("B04.tif", other.url("B04.tif"))
        with pytest.raises(
            SceneError, match=rf"redirects to {other.url('B04.tif')}.*--allow-links http://127"
        ):
            read(own.url("B04.tif"), FIRST)
        assert other.asked == []


@pytest.mark.parametrize("after", [1, 2, 3])
def test_one_that_redirects_later_sends_nobody_there_either(folder, after):
    with two_servers(folder) as (own, other):
        own.redirect("B04.tif", other.url("B04.tif"), after)
        with pytest.raises(SceneError, match=r"redirects to|cannot be (opened|read)"):
            read(own.url("B04.tif"), FIRST, LAST)
        assert len(own.asked) > after
        assert other.asked == []


@pytest.mark.parametrize("after", [0, 2])
def test_a_host_that_is_allowed_is_followed_to(folder, monkeypatch, after):
    with two_servers(folder) as (own, other):
        expected = read(own.url("B04.tif"), FIRST, LAST)
        own.redirect("B04.tif", other.url("B04.tif"), after)
        monkeypatch.setenv(VARIABLE, other.url(""))
        np.testing.assert_array_equal(read(own.url("B04.tif"), FIRST, LAST), expected)
        assert other.asked


def test_rasters_of_two_hosts_are_open_at_a_time_and_the_variable_is_as_before(folder):
    with two_servers(folder) as (own, other):
        with raster_files() as one, raster_files() as two:
            one.open([own.url("B04.tif")])
            two.open([other.url("B04.tif")])
            assert os.environ["no_proxy"] == "127.0.0.1,127.0.0.2"
            assert one.read([own.url("B04.tif")], 1, LAST).shape == (50, 50)
            assert two.read([other.url("B04.tif")], 1, LAST).shape == (50, 50)
        assert os.environ["no_proxy"] == "127.0.0.0/8"


def test_a_proxy_of_the_user_is_left_alone_and_the_server_is_asked_first(folder, monkeypatch):
    with two_servers(folder) as (own, other):
        monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
        own.redirect("B04.tif", other.url("B04.tif"))
        with pytest.raises(SceneError, match="redirects to"):
            read(own.url("B04.tif"), FIRST)
        assert [each[0] for each in own.asked] == ["GET"]
        assert other.asked == []


@pytest.mark.parametrize("url", ["http://*/x", "http://a,b/x", "http://h/x"])
def test_only_names_of_hosts_are_listed(url):
    assert servers._hosts(url) == ({"h"} if url == "http://h/x" else set())
