"""Rasters on servers of the web, opened so that no server can send GDAL on to a host that it may not name.

GDAL follows every redirect, and nothing can tell it not to. It can be told of a proxy, though, and of hosts
that need none: here the proxy is a port at which nobody listens, and the hosts are those where links may lead
(files/links.py). Where the environment names a proxy of the user's, that one is used, and our own request
asks before whether the server redirects.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies_environment

import rasterio
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from labeling.errors import SceneError
from labeling.files.fetch import probe
from labeling.files.links import LinkError, reachable
from labeling.files.uri import gdal_path

_NOBODY: Final = "http://127.0.0.1:9"
"""A proxy that nobody is: only root could listen there."""

_REFUSED: Final = re.compile(r"to 127\.0\.0\.1 port 9 |via 127\.0\.0\.1 ")
"""How errors of libcurl name it."""

_HOST: Final = re.compile(r"[a-z0-9._:-]+")


class _DirectHosts:
    """The hosts that need no proxy, in the variable that libcurl reads whenever it connects.

    The variable is there from the start and never goes: the C library may move all variables when one is
    added or removed, and GDAL's threads read them meanwhile. Another value is safe.
    """

    variable = "no_proxy"

    def __init__(self) -> None:
        self._lock, self._hosts = Lock(), Counter[str]()
        self._before = os.environ.setdefault(self.variable, "")

    @contextmanager
    def also(self, hosts: set[str]) -> Iterator[None]:
        """Add hosts while the block runs."""
        with self._lock:
            if not self._hosts:
                self._before = os.environ.get(self.variable, "")
            self._hosts += Counter(hosts)
            os.environ[self.variable] = ",".join(sorted(self._hosts))
        try:
            yield
        finally:
            with self._lock:
                self._hosts -= Counter(hosts)  # what comes to 0 is left out
                os.environ[self.variable] = ",".join(sorted(self._hosts)) if self._hosts else self._before


_DIRECT: Final = _DirectHosts()


@contextmanager
def open_on_server(url: str, driver: str) -> Iterator[DatasetReader]:
    """Open a raster at an http or https URL. RasterioError when GDAL cannot.

    LinkError when the server is seen to redirect to a host that it may not name.
    """
    if _has_proxy():
        _check_redirects(url)
        with rasterio.open(gdal_path(url), driver=driver) as image:
            yield image
        return
    with _DIRECT.also(_hosts(url)):
        try:
            with rasterio.Env(GDAL_HTTP_PROXY=_NOBODY):  # what is opened in it keeps it
                image = rasterio.open(gdal_path(url), driver=driver)
        except RasterioError as error:
            if _REFUSED.search(f"{error} {error.__cause__}"):
                _check_redirects(url)
            raise
        with image:
            yield image


def _check_redirects(url: str) -> None:
    """Raise LinkError where the server sends us on to a host that it may not name."""
    try:
        probe(url)
    except LinkError:
        raise
    except SceneError:  # GDAL says it too, and a copy elsewhere may do
        return


def _hosts(url: str) -> set[str]:
    """Return the hosts that a raster may be read from, as `no_proxy` lists them."""
    found = {urlsplit(origin).hostname or "" for origin in reachable(url)}
    return {host for host in found if _HOST.fullmatch(host)}


def _has_proxy() -> bool:
    known = {name for name in getproxies_environment() if name != "no"}
    return bool(known) or any(os.environ.get(name) for name in ("GDAL_HTTP_PROXY", "GDAL_HTTPS_PROXY"))
