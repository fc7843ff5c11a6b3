"""Where files are: on this machine, or in a bucket of an S3-compatible server.

A place of this machine is a plain `pathlib.Path`. One in a bucket, s3://bucket/key, is a `BucketPath` with
the same names: /, name, parent, is_file, read_text, unlink, …. There are no folders in a bucket, and nothing
can be renamed: an object appears whole when it has been sent. What that changes is in atomic.py.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from bisect import bisect_left
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from labeling.files.bucket_path import BucketPath

    AnyPath: TypeAlias = Path | BucketPath
else:
    # What only knows this machine's files starts without the client of object stores, and so faster.
    AnyPath = Path

_MANY: Final = 1000
"""Names in a folder of a bucket from which on its listing is kept: each further thousand is another page."""

_MOST_KEPT: Final = 16
"""Listings that are kept: to list a folder for each of its files would take for ever."""

_SETTLED_NS: Final = 2_000_000_000
"""A folder that changed so shortly before it was listed may have changed in the same tick of the clock."""

_STALE_NS: Final = 60_000_000_000
"""A bucket does not tell when it changes; GDAL keeps its listings as long as the process."""


class _Listing(NamedTuple):
    """What was in a folder: names in the order of what they are without capitals."""

    folded: list[str]
    names: list[str]
    changed_ns: int
    """When the folder had changed; 0 in a bucket."""
    listed_ns: int


_kept: Final[dict[str, _Listing]] = {}


def is_s3(place: str) -> bool:
    """Tell whether an address is one of a bucket."""
    return place[:5].lower() == "s3://"


def at(place: str | AnyPath) -> AnyPath:
    """Return the path of a place."""
    if not isinstance(place, str):
        return place
    if not is_s3(place):
        return Path(place)
    from labeling.files.bucket_path import BucketPath

    return BucketPath(f"s3://{place[5:]}")


def open_regular(path: AnyPath) -> BinaryIO:
    """Open a file for reading; OSError without it, and for what is no file, which could keep us waiting.

    A pipe is opened without waiting for who writes, and the open file is looked at: its name may be another's
    at any moment.
    """
    if not isinstance(path, Path):
        return path.open("rb")
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        raise OSError(errno.EINVAL, "it is no file, but a pipe or a device", str(path))
    return open(descriptor, "rb")  # noqa: PTH123 - there is no path any more


def is_waiting(place: str) -> bool:
    """Tell whether reading a path of this machine could wait for ever: it is a pipe, a socket or a device."""
    try:
        mode = os.stat(place).st_mode  # noqa: PTH116 - a name that GDAL is given, and no Path has to be made
    except (OSError, ValueError):
        return False  # opening it says why
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def read_range(path: AnyPath, start: int, count: int) -> bytes:
    """Return `count` bytes of a file from `start` on, less where it ends before."""
    if not isinstance(path, Path):
        return path.read_range(start, count)
    with open_regular(path) as file:
        file.seek(start)
        return file.read(count)


def named_like(folder: AnyPath, start: str) -> list[str]:
    """Return the names in a folder that begin with `start`, capitals or not, sorted; OSError without it.

    A folder is listed again only where it has changed, one of many names in a bucket once a minute.
    """
    listing, start = _listed(folder), start.casefold()
    first = bisect_left(listing.folded, start)
    last = first
    while last < len(listing.names) and listing.folded[last].startswith(start):
        last += 1
    return sorted(listing.names[first:last])


def _listed(folder: AnyPath) -> _Listing:
    key, now = str(folder), time.time_ns()
    local = isinstance(folder, Path)
    changed = folder.stat().st_mtime_ns if isinstance(folder, Path) else 0
    kept = _kept.get(key)
    if kept is not None and kept.changed_ns == changed:
        settled = kept.listed_ns - changed > _SETTLED_NS if local else now - kept.listed_ns < _STALE_NS
        if settled:
            return kept
    pairs = sorted((path.name.casefold(), path.name) for path in folder.iterdir())
    found = _Listing([folded for folded, _ in pairs], [name for _, name in pairs], changed, now)
    if local or len(pairs) > _MANY:
        _kept.pop(key, None)
        _kept[key] = found
        for old in list(_kept)[:-_MOST_KEPT]:
            _kept.pop(old, None)
    return found
