"""Where files are: on this machine, or in a bucket of an S3-compatible server.

A place of this machine is a plain `pathlib.Path`. One in a bucket, s3://bucket/key, is a `BucketPath` with
the same names: /, name, parent, is_file, read_text, unlink, …. There are no folders in a bucket, and nothing
can be renamed: an object appears whole when it has been sent. What that changes is in atomic.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from labeling.files.bucket_path import BucketPath

    AnyPath: TypeAlias = Path | BucketPath
else:
    # What only knows this machine's files starts without the client of object stores, and so faster.
    AnyPath = Path


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


def read_range(path: AnyPath, start: int, count: int) -> bytes:
    """Return `count` bytes of a file from `start` on, less where it ends before."""
    if not isinstance(path, Path):
        return path.read_range(start, count)
    with path.open("rb") as file:
        file.seek(start)
        return file.read(count)
