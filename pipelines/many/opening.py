"""Scenes opened to be described, as the catalogue needs them: a few by the driver, many by Spark.

Which of the two changes nothing of what is said of a scene, nor in which order.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final

import pandas as pd
from pyspark.sql import SparkSession
from pyspark.sql import types as T

from labeling.errors import describe
from labeling.files.uri import shown
from labeling.masks.limits import LimitSettings
from labeling.scenes.contract.scene import SceneInfo
from labeling.scenes.open import open_scene
from labeling.text import encodable
from pipelines.engine.isolate import halving
from pipelines.engine.rows import records, settle
from pipelines.engine.scenes import CatalogRow, Failure, table_of
from pipelines.engine.session import collect
from pipelines.many.batches import FEW, batch_size, batches, shared_tasks

_AT_ONCE: Final = 16
"""Scenes of a row: what Spark does about a row takes as long as opening a small picture."""

_NUMBER: Final = T.StructField("number", T.IntegerType(), nullable=False)

_TO_OPEN: Final = T.StructType([_NUMBER, T.StructField("uris", T.StringType(), nullable=False)])
"""One row some scenes: their URIs, a list as JSON."""

_OPENED: Final = T.StructType([_NUMBER, T.StructField("found", T.StringType(), nullable=False)])
"""What they are, in the same order, a list as JSON: a SceneInfo each, or why there is none."""

Described = SceneInfo | Failure


def describe_all(
    uris: Sequence[str], limits: LimitSettings, spark: Callable[[], SparkSession] | None = None
) -> list[Described]:
    """Open scenes; return what each is, or why it cannot be used, in their order.

    Without `spark` the driver opens them all.
    """
    found = {uri: describe_scene(uri, limits) for uri in uris if encodable(uri) != uri}  # no text of Spark's
    rest = [uri for uri in uris if uri not in found]
    if spark is None or len(rest) < FEW:
        described = [describe_scene(uri, limits) for uri in rest]
    else:
        described = [
            each
            for batch in batches(rest, batch_size(spark()))
            for each in halving(partial(_by_spark, spark(), limits), spark(), batch, _lost)
        ]
    found |= zip(rest, described, strict=True)
    return [found[uri] for uri in uris]


def describe_scene(uri: str, limits: LimitSettings) -> Described:
    """Open a scene; return what it is, or why it cannot be used."""
    try:
        info = limits.in_time(partial(_read_info, uri))
        table_of([CatalogRow("", info)])
        return info
    except Exception as problem:  # whatever is wrong with one scene must not stop the others
        return Failure(encodable(shown(uri)), "open", describe(problem))


def _read_info(uri: str) -> SceneInfo:
    with open_scene(uri) as scene:
        return scene.info


def _by_spark(spark: SparkSession, limits: LimitSettings, uris: list[str]) -> list[Described]:
    parts = batches(uris, _AT_ONCE)
    work = [{"number": number, "uris": json.dumps(part)} for number, part in enumerate(parts)]
    tasks = shared_tasks(spark, work, _TO_OPEN)
    rows = collect(tasks.mapInPandas(partial(open_scenes, limits=limits), _OPENED))
    found = {row["number"]: json.loads(row["found"]) for row in rows}
    return [_loaded(each) for number in range(len(work)) for each in found[number]]


def open_scenes(frames: Iterator[pd.DataFrame], limits: LimitSettings) -> Iterator[pd.DataFrame]:
    """Spark's map step: rows with URIs in, rows with what these are out, in their order."""
    settle()
    for frame in frames:
        for row in records(frame):
            found = [describe_scene(uri, limits)._asdict() for uri in json.loads(row["uris"])]
            yield pd.DataFrame([{"number": row["number"], "found": json.dumps(found)}])


def _loaded(found: dict[str, Any]) -> Described:
    if "reason" in found:
        return Failure(**found)
    crs = found["crs"]
    # Some thousand letters that are the same for most scenes.
    return SceneInfo(**found | {"crs": crs if crs is None else sys.intern(crs)})


def _lost(uri: str, found: str) -> list[Described]:
    return [
        Failure(
            shown(uri),
            "open",
            f"{shown(uri)} could not be opened: the worker that tried failed each time{found}. Fetch the "
            "file again, or leave it out.",
        )
    ]
