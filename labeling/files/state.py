"""What tells one state of a file, or of all files of a folder, from another."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from labeling.files.storage import AnyPath


class FileState(NamedTuple):
    """Size, time of change and, in a bucket or on a server, what that calls it."""

    bytes: int
    modified_ns: int
    etag: str | None = None


def state_of(path: AnyPath) -> FileState:
    """Return the state of a file, or of all files of a folder; OSError without it."""
    if not isinstance(path, Path):
        size, etag = path.state()
        return FileState(size, 0, etag)
    files = [path] if path.is_file() else [f for f in path.rglob("*") if f.is_file()]
    status = [file.stat() for file in files]
    return FileState(sum(one.st_size for one in status), max(one.st_mtime_ns for one in status))
