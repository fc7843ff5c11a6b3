"""What tells one state of a file, or of all files of a folder, from another."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from labeling.errors import StorageError
from labeling.files.storage import AnyPath, at, is_s3


class FileState(NamedTuple):
    """Size, time of change and, in a bucket or on a server, what that calls it."""

    bytes: int
    modified_ns: int
    etag: str | None = None

    def joined(self, others: Iterable[str], folder: str) -> FileState:
        """Return the state of this file together with that of `others` that are read for it.

        Without such it is the state of the file alone. With them a digest of all their names, sizes, times
        and etags stands in the place of its etag. Names count from this file's `folder`, so that a folder
        which moves stays the same. Files on servers (http) do not count.
        """
        lines = [
            f"{name.removeprefix(f'{folder}/')} {' '.join(map(str, state))}"
            for name, state in _states(others)
        ]
        if not lines:
            return self
        digest = sha256("\n".join([str(self.etag), *lines]).encode("utf-8", "backslashreplace"))
        return self._replace(etag=f"files:{digest.hexdigest()[:16]}")


def state_of(path: AnyPath) -> FileState:
    """Return the state of a file, or of all files of a folder; OSError without it."""
    if not isinstance(path, Path):
        size, etag = path.state()
        return FileState(size, 0, etag)
    files = [path] if path.is_file() else [f for f in path.rglob("*") if f.is_file()]
    status = [file.stat() for file in files]
    return FileState(sum(one.st_size for one in status), max(one.st_mtime_ns for one in status))


def _states(files: Iterable[str]) -> Iterator[tuple[str, FileState]]:
    """Yield the files that are there, here or in a bucket, with the state of each, in a fixed order."""
    for file in sorted(set(files)):
        name = re.sub(r"^/vsis3/", "s3://", file)  # as GDAL calls it
        if is_s3(name) or not re.match(r"https?://|/vsi", name, re.IGNORECASE):
            path = at(name)
            if _is_there(path):
                yield name, state_of(path)


def _is_there(path: AnyPath) -> bool:
    try:
        return path.is_file()
    except StorageError:  # a bucket that cannot be reached says nothing about its files
        raise
    except OSError:  # a name too long for any file, which an item may well state
        return False
