"""Marks of finished files: size and digest, by which a file is known to be the one that was written."""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TypedDict

from labeling.files.storage import AnyPath


class FileMark(TypedDict, total=False):
    """What a file is known by."""

    bytes: int
    sha256: str
    """Of a file of this machine."""
    etag: str
    """Of an object in a bucket: the server's word for its content, so that nothing need be fetched."""


_KEYS: Final = FileMark.__annotations__.keys()

FRESH_NS: Final = 2_000_000_000
"""What was touched since counts as in work, and is not known by its times; some file systems keep whole
seconds."""


def digest_of_json(value: Any) -> str:
    """Return the sha256 of a JSON value, whatever the order of its keys."""
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def digest_of(path: AnyPath) -> str:
    """Return the sha256 of a file's content; OSError without it."""
    digest = sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def mark_of(path: AnyPath) -> FileMark:
    """Return the mark of a file; OSError without it."""
    if isinstance(path, Path):
        return {"bytes": path.stat().st_size, "sha256": digest_of(path)}
    size, etag = path.state()
    return {"bytes": size, "etag": etag} if etag else {"bytes": size}


def is_intact(path: AnyPath | str, mark: FileMark, *, since: int | None = None) -> bool:
    """Tell whether a file is there and has the size and content of its mark; text is a path of this machine.

    A file of this machine that nothing has touched after `since`, nanoseconds, counts as unchanged: then
    only its size is compared. The time is that of the inode, which whoever replaces a file cannot set.
    An object copied out of a bucket, or into one, is known by its size alone.
    """
    if not isinstance(path, Path | str):
        try:
            size, etag = path.state()
        except FileNotFoundError:
            return False
        return size == mark.get("bytes") and etag == mark.get("etag", etag)
    try:
        state = os.stat(path)  # noqa: PTH116 - it may be text
    except OSError:
        return False
    if not stat.S_ISREG(state.st_mode) or state.st_size != mark.get("bytes"):
        return False
    if since is not None and state.st_ctime_ns < since:
        return True
    return "sha256" not in mark or digest_of(Path(path)) == mark["sha256"]


def _is_mark(value: Any) -> bool:
    """Tell whether something read from a file is a mark."""
    return (
        isinstance(value, dict)
        and value.keys() <= _KEYS
        and isinstance(value.get("bytes"), int)
        and isinstance(value.get("sha256", ""), str)
        and isinstance(value.get("etag", ""), str)
    )


def is_done_mark(done: Any) -> bool:
    """Tell whether something has the shape of a completion mark, as far as anybody reads it."""
    if not isinstance(done, dict) or not isinstance(done.get("inputs"), dict):
        return False
    texts = (
        done.get("files"),
        [each.get(key) for each in _dicts(done, "doubts") for key in ("code", "text")],
    )
    counts = [count for key in ("pixels", "excluded") for count in _dict(done, key).values()]
    area = done.get("pixel_area_m2")
    return (
        all(isinstance(text, list) and all(isinstance(each, str) for each in text) for text in texts)
        and all(isinstance(count, int) and count >= 0 for count in counts)
        and all(isinstance(done.get(key, {}), dict) for key in ("pixels", "excluded", "outputs", "versions"))
        and isinstance(done.get("doubts", []), list)
        and all(_is_mark(mark) for mark in _dict(done, "outputs").values())
        and (area is None or (isinstance(area, int | float) and 0 < area < math.inf))
    )


def _dict(values: dict[str, Any], key: str) -> dict[str, Any]:
    return found if isinstance(found := values.get(key), dict) else {}


def _dicts(values: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = values.get(key)
    return [each if isinstance(each, dict) else {} for each in found] if isinstance(found, list) else []


def network_of(inputs: Mapping[str, Any]) -> str | None:
    """Return what network had a say in a map, by the inputs in its completion mark; None where none had.

    It is the sha256 of the model, and how it computed where that was not in float32.

    >>> network_of({"model": "5e88"}), network_of({"model": "5e88", "precision": "bfloat16"}), network_of({})
    ('5e88', '5e88 bfloat16', None)
    """
    model, precision = inputs.get("model"), inputs.get("precision")
    return f"{model} {precision}" if model and precision else model
