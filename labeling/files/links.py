"""Where links in a file, and redirects of a server, may lead: no stranger's catalogue chooses whom we ask.

Links of an item on this machine lead to regular files below its folder, those of an item on the web to its
own host, those of one in a bucket to that bucket; symbolic links in a product's folder stay in it. An item
that a catalogue sends (Earth Search, Planetary Computer, CDSE) may name its store too; a copy of it on this
machine may not, for anybody can write one. The rest has to be allowed, by --allow-links or
POLYNYA_ALLOW_LINKS, which lists, with commas between:

  host.example, host.example:8443    https to a host
  http://host.example:8080           plain http to it
  s3://bucket                        a bucket, asked with the credentials of the environment
  files                              files of this machine outside of the item's or product's folder
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from labeling.errors import SceneError
from labeling.files.uri import is_url, join, shown
from labeling.text import encodable

VARIABLE: Final = "POLYNYA_ALLOW_LINKS"
"""The environment variable that lists what is allowed; processes that are started inherit it."""

FILES: Final = "files"

STORES: Final[dict[str, frozenset[str]]] = {
    "https://earth-search.aws.element84.com": frozenset(
        {
            "https://sentinel-cogs.s3.us-west-2.amazonaws.com",
            "https://e84-earth-search-sentinel-data.s3.us-west-2.amazonaws.com",
        }
    ),
    "https://planetarycomputer.microsoft.com": frozenset({"https://sentinel2l2a01.blob.core.windows.net"}),
    "https://stac.dataspace.copernicus.eu": frozenset({"s3://eodata"}),
    "https://catalogue.dataspace.copernicus.eu": frozenset({"s3://eodata"}),
}
"""Where catalogues keep what their items link: who asks a catalogue lets it choose among its own."""


class LinkError(SceneError):
    """A file or server leads to where it may not."""


def allowed() -> frozenset[str]:
    """Return what the user allows, as origins ("https://host") and `FILES`."""
    entries = [entry.strip().rstrip("/") for entry in os.environ.get(VARIABLE, "").split(",")]
    given = (entry if "://" in entry or entry == FILES else f"https://{entry}" for entry in entries if entry)
    return frozenset(entry.lower() for entry in given)


def reachable(base: str) -> frozenset[str]:
    """Return the origins that a file may lead to: its own, its catalogue's store, and what is allowed."""
    origin = origin_of(base) if is_url(base) else None
    return frozenset({origin} if origin else ()) | STORES.get(origin or "", frozenset()) | allowed() - {FILES}


def linked(base: str, href: str) -> str:
    """Return where `href`, as it stands in the file `base`, leads, as `join`; SceneError where it may not."""
    if encodable(href) != href:
        raise SceneError(
            f"{shown(base)} names {encodable(href)}, which is no text that a file or an address can have: "
            "parts of it are no characters. Fetch it again."
        )
    place = join(base, href)
    if is_url(place):
        origin = origin_of(place)
        if origin not in reachable(base):
            raise LinkError(_refusal(base, place, _host(origin)))
    elif not _is_below(place, Path(base).parent) and (FILES not in allowed() or place.startswith("/vsi")):
        raise LinkError(_refusal(base, place, FILES))
    elif not _may_be_read(place):
        raise SceneError(f"{shown(base)} names {place}, which is no regular file. Give it a copy.")
    return place


def check_inside(folder: Path, file: Path) -> None:
    """Raise SceneError where a file in a folder is a link that leads out of it; `FILES` allows it.

    The folder itself may be reached by a link.
    """
    if not _is_below(str(file), folder) and FILES not in allowed():
        raise LinkError(
            f"{file} is a link to {os.path.realpath(file)}, which is outside of {folder}: data from "
            "elsewhere must not choose what is read. If that is right, allow it: --allow-links "
            f"{FILES} (or {VARIABLE})."
        )


def redirected(origin: str, target: str) -> None:
    """Raise SceneError where a server that was asked at `origin`, a URL, may not send us on to `target`."""
    found, known = origin_of(target), reachable(origin)
    if found not in known | {each.replace("http://", "https://") for each in known}:
        raise LinkError(_refusal(origin, target, _host(found), how="redirects to"))


def origin_of(url: str) -> str | None:
    """Return protocol, host and port of a URL, in lower case, or "s3://bucket"; None where it has none."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host:
        return None
    scheme = parts.scheme.lower()
    if scheme == "s3":
        return f"s3://{parts.netloc.rpartition('@')[2].lower()}"
    usual = {"https": 443, "http": 80}.get(scheme)
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{host}" if port in (None, usual) else f"{scheme}://{host}:{port}"


def _host(origin: str | None) -> str:
    return (origin or "HOST").removeprefix("https://")


def _refusal(base: str, place: str, entry: str, how: str = "names") -> str:
    where = "is outside of its folder" if entry == FILES else "is on another host"
    return (
        f"{shown(base)} {how} {shown(place)}, which {where}: a file from elsewhere must not choose what is "
        f"read. If that is right, allow it: --allow-links {entry} (or {VARIABLE})."
    )


def _is_below(place: str, folder: Path) -> bool:
    """Tell whether a file lies below a folder, once all links are followed."""
    top = os.path.realpath(folder)
    try:
        return os.path.commonpath([top, os.path.realpath(place)]) == top
    except ValueError:  # no file can be called so
        return False


def _may_be_read(place: str) -> bool:
    """Tell whether a file is a regular one; one that is not there says so when it is opened."""
    try:
        return stat.S_ISREG(Path(place).stat().st_mode)
    except (OSError, ValueError):
        return True
