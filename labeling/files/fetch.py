"""Small files, items and metadata, from here, a server or a bucket; images go through GDAL instead."""

from __future__ import annotations

import re
import time
from functools import partial
from hashlib import sha256
from http.client import HTTPException, HTTPMessage, HTTPResponse, InvalidURL
from typing import Any, Final, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from labeling.errors import SceneError
from labeling.files.links import redirected
from labeling.files.state import FileState, state_of
from labeling.files.storage import at, is_s3, open_regular
from labeling.files.uri import is_url, shown
from labeling.in_time import LateError, in_time

TIMEOUT: Final = 30.0
"""Seconds without a byte after which a server is given up."""

WHOLE: Final = 120.0
"""Seconds for a whole document, all attempts together: who sends a byte now and then is given up."""

PAUSES: Final = (0.5, 2.0)
"""Seconds before the second and the third attempt at a server that is overloaded or stumbles."""

_DIGITS: Final = re.compile(r"[0-9]{1,18}")

_PASSING: Final = frozenset({408, 429, 500, 502, 503, 504})
"""HTTP states that another attempt may not meet."""


class _Redirects(HTTPRedirectHandler):
    """Follows a server to hosts that its files may name, and to no other."""

    def redirect_request(self, req: Request, *answer: Any) -> Request | None:
        redirected(req.full_url, answer[-1])
        return super().redirect_request(req, *answer)


_OPENER: Final = build_opener(_Redirects)


class Document(NamedTuple):
    """A file as it was read."""

    content: bytes
    state: FileState
    remote: bool


def fetch(location: str, largest: int) -> Document:
    """Read a whole file, a path or URL, of at most `largest` bytes.

    Its state is the size and time of change of a local file, and what a server calls it (ETag, or else
    Last-Modified; where it sends neither, a digest of the content). Raises SceneError.
    """
    if is_url(location) and not is_s3(location):
        return _fetch_remote(location, largest)
    path = at(location)
    try:
        with open_regular(path) as file:
            content = file.read(largest + 1)
        state = state_of(path)
    except OSError as error:
        raise _unreadable(location, error) from None
    _check_size(content, largest, location)
    return Document(content, state, remote=is_s3(location))


def probe(location: str) -> FileState:
    """Return the state of a file on a server or in a bucket without fetching it. Raises SceneError."""
    if is_s3(location):
        try:
            return state_of(at(location))
        except OSError as error:
            raise _unreadable(location, error) from None
    # Not HEAD: a signed link is often good for GET alone.
    _, headers = _attempt(location, 1, {"Range": "bytes=0-0"})
    total = (headers["Content-Range"] or "").rpartition("/")[2] or headers["Content-Length"]
    return FileState(_number(total), 0, _version(headers))


def _fetch_remote(location: str, largest: int) -> Document:
    accepted = "application/geo+json, application/json, application/xml, */*"
    content, headers = _attempt(location, largest + 1, {"Accept": accepted})
    _check_size(content, largest, location)
    version = _version(headers) or f"sha256:{sha256(content).hexdigest()[:16]}"
    return Document(content, FileState(len(content), 0, version), remote=True)


def _attempt(location: str, most: int, wanted: dict[str, str]) -> tuple[bytes, HTTPMessage]:
    """Get up to `most` bytes of a file, again where a failure may pass; SceneError after WHOLE seconds."""
    try:
        return in_time(partial(_try_again, location, most, wanted), WHOLE)
    except LateError:
        raise SceneError(
            f"{shown(location)} did not arrive within {WHOLE:g} seconds: its server is too slow, or keeps us "
            "waiting on purpose. Run again later, or fetch the file by other means and give the local copy."
        ) from None


def _try_again(location: str, most: int, wanted: dict[str, str]) -> tuple[bytes, HTTPMessage]:
    problem = ""
    for pause in (0.0, *PAUSES):
        time.sleep(pause)
        try:
            return _get(location, most, wanted)
        except _PassingError as error:
            problem = str(error)
    raise SceneError(f"{problem}, {len(PAUSES) + 1} times. Run again later.")


class _PassingError(Exception):
    """A failure that another attempt may not meet."""


def _get(location: str, most: int, wanted: dict[str, str]) -> tuple[bytes, HTTPMessage]:
    name = shown(location)
    try:
        with _OPENER.open(Request(location, headers=wanted), timeout=TIMEOUT) as answer:
            content, headers = _read(answer, most), answer.headers
    except HTTPError as error:
        with error:
            problem = f"{name}: the server answers {error.code} {error.reason}"
        if error.code in _PASSING:
            raise _PassingError(problem) from None
        hint = "whether its link has expired" if error.code in (401, 403) else "the address"
        raise SceneError(f"{problem}. Check {hint}.") from None
    except (ValueError, InvalidURL) as error:
        raise SceneError(f"{name} is no address ({error}). Check it.") from None
    except (URLError, OSError, HTTPException) as error:
        reason = error.reason if isinstance(error, URLError) else error
        raise _PassingError(f"{name} cannot be fetched ({reason or type(error).__name__})") from None
    if len(content) < min(most, _number(headers["Content-Length"])):
        raise _PassingError(f"{name} ends early, after {len(content)} bytes")
    return content, headers


def _read(answer: HTTPResponse, most: int) -> bytes:
    until, pieces = time.monotonic() + WHOLE, []
    while most > 0 and (piece := answer.read1(min(most, 1 << 20))):
        if time.monotonic() > until:
            raise LateError  # nobody waits for it any more: so this thread ends
        pieces.append(piece)
        most -= len(piece)
    return b"".join(pieces)


def _unreadable(location: str, error: OSError) -> SceneError:
    way_out = "" if is_s3(location) else " Check the path."  # errors of buckets have theirs
    return SceneError(f"{shown(location)} cannot be read ({error.strerror}).{way_out}")


def _check_size(content: bytes, largest: int, location: str) -> None:
    if len(content) > largest:
        raise SceneError(
            f"{shown(location)} is larger than {largest >> 20} MiB, so it is not what was looked for. Check "
            "the address."
        )


def _number(text: str | None) -> int:
    """Return a number of bytes as a server states it; 0 where it states none, or none that can be."""
    return int(text) if text and _DIGITS.fullmatch(text) else 0


def _version(headers: HTTPMessage) -> str | None:
    """Return what the server calls this state of a file."""
    return headers["ETag"] or headers["Last-Modified"]
