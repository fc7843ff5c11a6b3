"""Very many things shared out: to one Spark job after the other, and inside one to tasks of several each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, TypeVar

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from pipelines.engine.plan import tasks_of
from pipelines.engine.session import one_task_each

FEW: Final = 64
"""Scenes that the driver itself looks at: in less time than it takes to start Spark."""

BATCH: Final = 4096
"""Scenes of one Spark job, at most, for a cluster of few cores: what is known of them lies in the driver's
memory, and in Java's, as text."""

_PER_CORE: Final = 64
"""Scenes of one Spark job for each core, where there are many: the last of a job keep few cores waiting."""

T = TypeVar("T")


def batches(things: Iterable[T], most: int, weight: Callable[[T], int] = lambda _: 1) -> Iterator[list[T]]:
    """Yield the things in their order, in lists of a weight of `most` together; one alone may weigh more.

    >>> list(batches([3, 1, 4, 1, 5], 5, weight=int))
    [[3, 1], [4, 1], [5]]
    """
    batch: list[T] = []
    total = 0
    for thing in things:
        own = weight(thing)
        if batch and total + own > most:
            yield batch
            batch, total = [], 0
        batch.append(thing)
        total += own
    if batch:
        yield batch


def batch_size(spark: SparkSession) -> int:
    """Return how many scenes one Spark job takes, at most."""
    return max(BATCH, _PER_CORE * spark.sparkContext.defaultParallelism)


def shared_tasks(spark: SparkSession, work: Sequence[dict[str, Any]], schema: StructType) -> DataFrame:
    """Return a table of `work` in tasks that do as many rows each, several a core: a task costs 10 ms."""
    tasks = one_task_each(spark, list(work), schema)
    return tasks.coalesce(tasks_of(len(work), spark.sparkContext.defaultParallelism))
