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
R = TypeVar("R")
S = TypeVar("S")

Label = Callable[[SparkSession, list[PlannedScene], J], list[Failure]]
"""Labels scenes, as the third argument says, which goes to the workers; returns those that could not be."""

_LOG = logging.getLogger("polynya.isolate")


def isolating(label: Label[J], spark: SparkSession, scenes: list[PlannedScene], job: J) -> list[Failure]:
    """Label scenes but those that Spark gives up on, which are failures; see `halving`.

    Scenes that were finished by then are not done again.
    """

    def lost(scene: PlannedScene, found: str) -> list[Failure]:
        return [Failure(scene.row.scene_id, "label", _reason(scene.row.info, found))]

    return halving(lambda some: label(spark, some, job), spark, scenes, lost)


def halving(
    work: Callable[[list[S]], list[R]],
    spark: SparkSession,
    scenes: list[S],
    lost: Callable[[S, str], list[R]],
) -> list[R]:
    """Do the work on scenes; where Spark gives up, halve them until those are found that it gives up on.

    An error fails its own scene only. But a scene whose worker dies each time, out of memory or by a fault in
    a library, ends the whole Spark job. `lost` returns what becomes of such a scene; its second argument is
    what Spark said, in brackets.
    """
    try:
        return work(scenes)
    except (PySparkException, Py4JError) as error:
        if worker_fault(error) or spark.sparkContext._jsc.sc().isStopped():  # then it is not the scenes
            raise
        if len(scenes) == 1:
            found = re.search(r"Lost task.*?: (?:org\.apache\.spark\.\w+: )?(.*)", str(error))
            return lost(scenes[0], f" ({found[1]})" if found else "")
    _LOG.warning("Spark gave up on one of %d scenes; trying fewer at a time", len(scenes))
    middle = len(scenes) // 2
    parts = (scenes[:middle], scenes[middle:])
    return [each for part in parts for each in halving(work, spark, part, lost)]


def _reason(info: SceneInfo, found: str) -> str:
    return (
        f"{info.where} could not be labelled: its worker failed each time it was tried{found}. If it ran out "
        "of memory, give workers more (spark.executor.memoryOverhead), or cut scenes into smaller blocks "
        "(--cut always --block-size 512)."
    )
