"""Atomic writes: files, folders and JSON that appear whole or not at all."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from labeling.errors import OutputError
from labeling.files.storage import AnyPath

if TYPE_CHECKING:
    from labeling.files.bucket_path import BucketPath

_MARK: Final = 8
"""Hexadecimal digits that tell one temporary file from another."""

PARTS: Final = f".*.{'[0-9a-f]' * _MARK}.part*"
"""Names of what `replacing` has not finished: a pattern. Killed processes leave such files.

No id of a scene begins with a dot (labeling/scene_id.py), so nothing finished is taken for one of them.
"""

_NO_ROOM: Final = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk can only be read",
}


@contextmanager
def replacing(target: AnyPath) -> Iterator[Path]:
    """Yield a temporary path of this machine that becomes `target` when the block succeeds.

    It lies beside `target` and takes its name; a file for a bucket is sent there. On an error the temporary
    file or folder is removed and `target` is left as it was. The temporary name keeps the suffix, because
    GDAL and Keras choose the format by it. OutputError when the disk is full or takes nothing.
    """
    try:
        with _renamed(target) if isinstance(target, Path) else _uploaded(target) as temporary:
            yield temporary
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        place = target if isinstance(target, Path) else f"{gettempdir()}, where {target} is prepared,"
        raise OutputError(
            f"{_NO_ROOM[error.errno]}: {place} cannot be written. Make room there, or choose another "
            "folder, and run the same command again: what is finished stays."
        ) from error


@contextmanager
def _renamed(target: Path) -> Iterator[Path]:
    temporary = target.with_name(f".{target.stem}.{uuid4().hex[:_MARK]}.part{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if temporary.is_dir() and target.is_dir():
            shutil.rmtree(target)
        temporary.replace(target)
    finally:
        with suppress(OSError):  # what went wrong first is what matters
            remove(temporary)


@contextmanager
def _uploaded(target: BucketPath) -> Iterator[Path]:
    with TemporaryDirectory(prefix="polynya-") as folder:
        temporary = Path(folder) / target.name
        yield temporary
        target.upload(temporary)


@contextmanager
def refilling(target: AnyPath, mark: str) -> Iterator[AnyPath]:
    """Yield a folder that many processes fill, and that is `target` when the block succeeds.

    As `replacing` on this machine. In a bucket, where no folder can be renamed, it is `target` itself,
    emptied: `mark` is the file without which a reader takes the folder for unfinished, the first to be
    removed, and to be written last.
    """
    if isinstance(target, Path):
        with replacing(target) as temporary:
            temporary.mkdir()
            yield temporary
        return
    remove(target / mark)
    remove(target)
    yield target


def remove(path: AnyPath) -> None:
    """Delete a file or folder if it is there.

    Of a link the link goes, and what it leads to stays. A folder that another process is still writing to may
    stay: a task that Spark has given up, say.
    """
    if not isinstance(path, Path):
        path.remove_all()
    elif path.is_symlink():
        path.unlink(missing_ok=True)
    elif path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def write_bytes(target: AnyPath, content: bytes | memoryview) -> None:
    """Write bytes, or the memory of a C-contiguous array, atomically."""
    if not isinstance(target, Path):
        target.write_bytes(content)
        return
    with replacing(target) as temporary:
        temporary.write_bytes(content)


def write_json(target: AnyPath, content: object) -> None:
    """Write `content` as indented JSON, atomically."""
    with replacing(target) as temporary:
        temporary.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
