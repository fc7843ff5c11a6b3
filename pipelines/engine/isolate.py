"""Scenes that end the whole Spark job are found and left out, so that the others are done."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import TypeVar

from py4j.protocol import Py4JError  # type: ignore[import-untyped] # no type information is published
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from labeling.scenes.contract.scene import SceneInfo
from pipelines.engine.environment import worker_fault
from pipelines.engine.plan import PlannedScene
from pipelines.engine.scenes import Failure

J = TypeVar("J")

Label = Callable[[SparkSession, list[PlannedScene], J], list[Failure]]
"""Labels scenes, as the third argument says, which goes to the workers; returns those that could not be."""

_LOG = logging.getLogger("polynya.isolate")


def isolating(label: Label[J], spark: SparkSession, scenes: list[PlannedScene], job: J) -> list[Failure]:
    """Label scenes; where Spark gives up, halve them until those are found that it gives up on.

    An error fails its own scene only. But a scene whose worker dies each time, out of memory or by a fault in
    a library, ends the whole Spark job. Scenes that were finished by then are not done again.
    """
    try:
        return label(spark, scenes, job)
    except (PySparkException, Py4JError) as error:
        if worker_fault(error) or spark.sparkContext._jsc.sc().isStopped():  # then it is not the scenes
            raise
        if len(scenes) == 1:
            return [Failure(scenes[0].row.scene_id, "label", _reason(scenes[0].row.info, error))]
    _LOG.warning("Spark gave up on one of %d scenes; trying fewer at a time", len(scenes))
    middle = len(scenes) // 2
    parts = (scenes[:middle], scenes[middle:])
    return [failure for part in parts for failure in isolating(label, spark, part, job)]


def _reason(info: SceneInfo, error: Exception) -> str:
    found = re.search(r"Lost task.*?: (?:org\.apache\.spark\.\w+: )?(.*)", str(error))
    return (
        f"{info.where} could not be labelled: its worker failed each time it was tried"
        f"{f' ({found[1]})' if found else ''}. If it ran out of memory, give workers more "
        "(spark.executor.memoryOverhead), or cut scenes into smaller blocks (--cut always --block-size 512)."
    )
