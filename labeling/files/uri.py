"""Where a scene is: a path of this machine, or a URL (http, https, s3).

A file that lists several scenes is followed by `#` and the id of one: `items.json#S2A_58CDU_20191103_0_L2A`.
Only the functions here look into such a text: `Path` would turn `https://host` into `https:/host`.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from labeling.errors import SceneError
from labeling.files.redact import without_secrets

LISTS: Final = frozenset({".json", ".geojson"})
"""Endings, in lower case, of files that can list scenes."""

_IMAGES: Final = frozenset({".tif", ".tiff", ".png", ".jpg", ".jpeg"})
_URL: Final = re.compile(r"(https?|s3)://", re.IGNORECASE)
_OTHER: Final = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_LISTED: Final = re.compile(r"(?P<location>.+?\.(geo)?json)#(?P<item>.+)", re.IGNORECASE | re.DOTALL)


class Place(NamedTuple):
    """A URI in its two parts."""

    location: str
    """Path or URL of a file."""
    item: str | None
    """Which of the scenes that the file lists; None where the file is one scene."""


def is_url(uri: str) -> bool:
    """Tell whether something is a URL rather than a path of this machine."""
    return _URL.match(uri) is not None


def foreign(uri: str) -> str | None:
    """Return what is wrong with a URL of a protocol that nothing here speaks (gs, az, ftp, …); else None."""
    if is_url(uri) or not _OTHER.match(uri):
        return None
    return f"{uri.partition('://')[0]}://…; files, http, https and s3 can be read"


def parse(uri: str) -> Place:
    """Part a URI into its file and the item in it. A `#` in a path counts only after .json or .geojson."""
    if "#" not in uri:
        return Place(uri, None)
    if is_url(uri):
        location, _, item = uri.partition("#")
        return Place(location, item or None)
    match = _LISTED.fullmatch(uri)
    return Place(match["location"], match["item"]) if match else Place(uri, None)


def absolute(uri: str) -> str:
    """Return a path as absolute path; a URL as it is."""
    return uri if is_url(uri) else str(Path(uri).absolute())


def suffix(uri: str) -> str:
    """Return the ending of the file, in lower case with its dot; "" where it has none."""
    name = _file(parse(uri).location).rstrip("/").rpartition("/")[2]
    stem, dot, ending = name.rpartition(".")  # as pathlib does it, in a tenth of the time
    return f"{dot}{ending}".lower() if stem and ending else ""


def stem(uri: str) -> str:
    """Return a short name for a scene: the item's id, or else the file's name without its ending.

    The last part of a URL that names no file of a known kind is an id, and stays whole.
    """
    location, item = parse(uri)
    if item is not None:
        return item
    if not is_url(location):
        return Path(location).stem
    name = PurePosixPath(_file(location))
    return name.stem if name.suffix.lower() in LISTS | _IMAGES else name.name


def shown(uri: str) -> str:
    """Return a URI for messages: without user, password and query, where signed links carry their key."""
    if not is_url(uri):
        return uri
    try:
        scheme, host, path, _, item = urlsplit(uri)
    except ValueError:  # brackets in the host that are no address
        return without_secrets(uri.partition("?")[0])
    # A query behind the item is none, but somebody's key all the same.
    return urlunsplit((scheme, host.rpartition("@")[2], path, "", item.partition("?")[0]))


def quoted(uri: str) -> str:
    """Return a file as a command to copy names it: FILE where it is not on this machine."""
    return "FILE" if is_url(uri) else shlex.quote(uri)


def join(base: str, href: str) -> str:
    """Return where `href`, as it stands in the file `base`, leads: a URL, or an absolute path.

    A relative one starts at the folder of `base`. SceneError for an address of another kind, and for a file
    of this machine named by a remote file: a stranger's catalogue does not choose what is read here.
    """
    if is_url(href):
        return href
    if href.lower().startswith("file:"):
        if is_url(base):
            raise SceneError(
                f"{shown(base)} names the file {href} of this machine, which a remote file must not. Fetch "
                "the item, and give the local copy."
            )
        return unquote(re.sub(r"file:(//[^/]*)?", "", href, flags=re.IGNORECASE))
    if wrong := foreign(href):
        raise SceneError(
            f"{shown(base)} names {wrong}. Fetch the item with its files, and give the local copy."
        )
    if is_url(base):
        scheme, _, rest = base.partition("://")
        try:
            # As of the web, whose rules the library knows; those of s3 are the same.
            return f"{scheme}://{urljoin(f'https://{rest}', href).partition('://')[2]}"
        except ValueError as error:  # brackets in the host that are no address
            raise SceneError(f"{shown(base)} names '{href}', no address ({error}). Fetch it again.") from None
    return str((Path(base).parent / href).absolute())


def gdal_path(location: str) -> str:
    """Return the name under which GDAL opens a file, remote ones by ranges."""
    if location[:5].lower() == "s3://":
        return f"/vsis3/{location[5:]}"
    return f"/vsicurl/{location}" if is_url(location) else location


def _file(location: str) -> str:
    """Return the path of a file on its host."""
    return unquote(location.partition("?")[0].partition("://")[2]) if is_url(location) else location
