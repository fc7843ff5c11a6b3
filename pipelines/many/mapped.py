"""What is to be known of scenes: JSON values in, JSON values out, in order; of very many asked by Spark."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final

import pandas as pd
from pyspark.sql import SparkSession
from pyspark.sql import types as T

from pipelines.engine.isolate import halving
from pipelines.engine.rows import records, settle
from pipelines.engine.session import collect
from pipelines.many.batches import FEW, batch_size, batches, shared_tasks

_AT_ONCE: Final = 16
"""Values of a row: what Spark does about a row takes as long as opening a small picture."""

_ROW: Final = T.StructType(
    [
        T.StructField("number", T.IntegerType(), nullable=False),
        T.StructField("values", T.StringType(), nullable=False),
    ]
)
"""Some values, a list as JSON, and which part of all they are."""


def mapped(
    spark: Callable[[], SparkSession],
    values: Sequence[Any],
    work: Callable[[Any], Any],
    lost: Callable[[Any, str], Any],
) -> list[Any]:
    """Return what `work` returns for each value: the driver does it of a few, of many it goes to the workers.

    `lost` returns what becomes of a value whose worker dies each time; see `halving`. What `work` raises ends
    the job.
    """
    if len(values) < FEW:
        return [work(value) for value in values]
    session = spark()
    return [
        result
        for batch in batches(values, batch_size(session))
        for result in halving(
            partial(_batch, session, work), session, batch, lambda value, found: [lost(value, found)]
        )
    ]


def _batch(spark: SparkSession, work: Callable[[Any], Any], values: list[Any]) -> list[Any]:
    parts = batches(values, _AT_ONCE)
    rows = [{"number": number, "values": json.dumps(part)} for number, part in enumerate(parts)]
    tasks = shared_tasks(spark, rows, _ROW).mapInPandas(partial(map_rows, work=work), _ROW)
    found = {row["number"]: row["values"] for row in collect(tasks)}
    return [result for number in range(len(rows)) for result in json.loads(found[number])]


def map_rows(frames: Iterator[pd.DataFrame], work: Callable[[Any], Any]) -> Iterator[pd.DataFrame]:
    """Spark's map step: rows of values in, rows of what `work` returns for them out."""
    settle()
    for frame in frames:
        for row in records(frame):
            found = [work(value) for value in json.loads(row["values"])]
            yield pd.DataFrame([{"number": row["number"], "values": json.dumps(found)}])
