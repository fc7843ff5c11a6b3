"""Rows on a worker: work is done row by row or scene by scene, and a failure becomes the row's error."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, partial
from hashlib import sha256
from time import monotonic
from typing import Any, Final
from zipimport import zipimporter

import cv2
import pandas as pd
from pyspark.sql.types import StructType

from labeling.errors import PolynyaError, describe
from labeling.files.atomic import remove, write_bytes
from labeling.files.storage import AnyPath
from labeling.masks.limits import LimitSettings

Row = dict[str, Any]

_SECONDS: Final = "seconds"
"""Folder of a scene in which its rows leave how long they took."""


def each_row(
    frames: Iterator[pd.DataFrame],
    work: Callable[[Row], Row],
    schema: StructType,
    limits: LimitSettings,
    shared: Callable[[Row], AnyPath] | None = None,
) -> Iterator[pd.DataFrame]:
    """Do each row's work; yield a row of `schema` for it.

    A row out has what `work` returns, else what the row in has, else null, and an `error`, which may be that
    it took longer than `limits` allow. Rows with one folder `shared` are of one scene: they share its error,
    and its time, or one that is slow on purpose would take that long for each of its blocks.
    """
    settle()
    for frame in frames:
        for row in records(frame):
            result = {name: row.get(name) for name in schema.names} | {"error": None}
            scene = _Alone() if shared is None else _Together(shared(row), row)
            result |= _done(row, work, limits, scene)
            yield pd.DataFrame([result])


def forget_time(folder: AnyPath) -> None:
    """Let a scene begin anew: what earlier attempts at its rows took counts no more."""
    remove(folder / _SECONDS)


class _Alone:
    """What a row knows of others of its scene: nothing."""

    def failed(self) -> str | None:
        """Return the scene's error, if it has one."""
        return None

    def fail(self, error: str) -> None:
        """Leave an error for the scene's other rows."""

    def spent(self) -> float:
        """Return how many seconds the scene has taken."""
        return 0.0

    def spend(self, seconds: float) -> None:
        """Add to them."""


class _Together(_Alone):
    """What rows of one scene leave for each other in a folder that all workers see."""

    def __init__(self, folder: AnyPath, row: Row) -> None:
        self._failed, self._seconds = folder / "failed.txt", folder / _SECONDS
        # A row that Spark does twice counts once; its own name, for many end at a time.
        self._name = sha256(repr(sorted(row.items())).encode("utf-8", "backslashreplace")).hexdigest()[:32]

    def failed(self) -> str | None:
        return self._failed.read_text(encoding="utf-8") if self._failed.is_file() else None

    def fail(self, error: str) -> None:
        with suppress(OSError, PolynyaError):  # the disk may be what is wrong
            write_bytes(self._failed, error.encode())

    def spent(self) -> float:
        taken: dict[str, float] = {}
        with suppress(OSError, PolynyaError):
            # Names say it all, so no file is read. One that is being written begins with a dot.
            for file in self._seconds.iterdir():
                if not file.name.startswith("."):
                    seconds, _, row = file.name.partition(" ")
                    taken[row] = max(float(seconds), taken.get(row, 0.0))
        return sum(taken.values())

    def spend(self, seconds: float) -> None:
        with suppress(OSError, PolynyaError):
            write_bytes(self._seconds / f"{seconds:.3f} {self._name}", b"-")


def _done(row: Row, work: Callable[[Row], Row], limits: LimitSettings, scene: _Alone) -> Row:
    """Return what a row's work returns, or its error, which is left for others of the scene, or from them."""
    begun = monotonic()
    try:
        if (error := scene.failed()) is not None:
            return {"error": error}
        found = limits.in_time(partial(work, row), scene.spent())
    except Exception as problem:  # whatever is wrong with one scene must not stop the others
        error = describe(problem)
        scene.fail(error)
        return {"error": error}
    scene.spend(monotonic() - begun)
    return found


def one_row(
    frame: pd.DataFrame, work: Callable[[list[Row]], Row], schema: StructType, limits: LimitSettings
) -> pd.DataFrame:
    """Do a scene's work from all of its rows, unless one of them failed; return its row of `schema`."""
    settle()
    rows = records(frame)
    result = dict.fromkeys(schema.names) | {"scene_id": rows[0]["scene_id"]}
    error = next((row["error"] for row in rows if row["error"] is not None), None)
    if error is None:
        try:
            result |= limits.in_time(partial(work, rows))
        except Exception as problem:  # as above
            error = describe(problem)
    return pd.DataFrame([result | {"error": error}])


def settle() -> None:
    """Prepare a worker process for a task."""
    _settle_once()
    # Spark has importers look at their folders anew for every task; those of zips read them all, 0.1 s.
    for path, importer in list(sys.path_importer_cache.items()):
        if isinstance(importer, zipimporter):
            del sys.path_importer_cache[path]


@cache
def _settle_once() -> None:
    cv2.setNumThreads(1)  # Spark runs a task on every core already
    # Spark collects garbage after every task, which takes 0.1 s over all that our imports have made.
    gc.freeze()


def records(frame: pd.DataFrame) -> list[Row]:
    """Return the rows of a frame as dictionaries, with None where Spark has null."""
    frame = frame.astype(object).where(frame.notna(), None)
    return [dict(zip(frame.columns, row, strict=True)) for row in frame.itertuples(index=False)]
