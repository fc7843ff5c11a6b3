"""Rows on a worker: work is done row by row or scene by scene, and a failure becomes the row's error."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, partial
from typing import Any
from zipimport import zipimporter

import cv2
import pandas as pd
from pyspark.sql.types import StructType

from labeling.errors import PolynyaError, describe
from labeling.files.atomic import write_bytes
from labeling.files.storage import AnyPath
from labeling.masks.limits import LimitSettings

Row = dict[str, Any]


def each_row(
    frames: Iterator[pd.DataFrame],
    work: Callable[[Row], Row],
    schema: StructType,
    limits: LimitSettings,
    mark: Callable[[Row], AnyPath] | None = None,
) -> Iterator[pd.DataFrame]:
    """Do each row's work; yield a row of `schema` for it.

    A row out has what `work` returns, else what the row in has, else null, and an `error`, which may be that
    it took longer than `limits` allow. Rows that share a file `mark` share an error as well: nothing is begun
    for a scene that has failed, or one that is slow on purpose would take that long for each of its blocks.
    """
    settle()
    for frame in frames:
        for row in records(frame):
            result = {name: row.get(name) for name in schema.names} | {"error": None}
            result |= _done(row, work, limits, None if mark is None else mark(row))
            yield pd.DataFrame([result])


def _done(row: Row, work: Callable[[Row], Row], limits: LimitSettings, mark: AnyPath | None) -> Row:
    """Return what a row's work returns, or its error, which is left in the file `mark`, or found there."""
    try:
        if mark is not None and mark.is_file():
            return {"error": mark.read_text(encoding="utf-8")}
        return limits.in_time(partial(work, row))
    except Exception as problem:  # whatever is wrong with one scene must not stop the others
        error = describe(problem)
    if mark is not None:
        with suppress(OSError, PolynyaError):  # the disk may be what is wrong
            write_bytes(mark, error.encode())
    return {"error": error}


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
