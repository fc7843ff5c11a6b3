"""Counts of test scenes, one after the other or by Spark: what is counted and how is the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from pyspark.sql import SparkSession

from labeling.errors import describe
from labeling.files.layout import Run, read_done
from labeling.files.marks import network_of
from labeling.grid import Block
from pipelines.engine.scenes import Failure
from pipelines.evaluation.scene import count_scene
from pipelines.evaluation.tally import Tally, add_up
from pipelines.many.mapped import mapped


class Counted(NamedTuple):
    """What is known of a test scene."""

    tally: Tally
    model: str | None
    """Digest of the model that its map says it comes from."""
    network: str | None
    """The same, and how the network computed; see labeling.files.marks.network_of."""
    source: str | None
    """Where its map comes from; see pipelines/map_sources.py."""


def count_scenes(
    run: Run, footprints: Mapping[str, Sequence[Block]], spark: Callable[[], SparkSession]
) -> tuple[dict[str, Counted], list[Failure]]:
    """Count the footprints of each scene; return the scenes that can be compared, and why others cannot."""
    work = [[scene_id, [list(block) for block in blocks]] for scene_id, blocks in footprints.items()]
    count = partial(count_one, run=run)
    found = mapped(spark, work, count, _lost)
    counted, failures = {}, []
    for scene_id, each in zip(footprints, found, strict=True):
        if "error" in each:
            failures.append(Failure(scene_id, "evaluate", each["error"]))
        else:
            counted[scene_id] = Counted(_tally(each), each["model"], each["network"], each["source"])
    return counted, failures


def count_one(scene: Sequence[Any], run: Run) -> dict[str, Any]:
    """Return the sum of a scene's footprints and its map's facts, as JSON values; or the error."""
    scene_id, blocks = scene
    try:
        tally = add_up(count_scene(run, scene_id, [Block(*block) for block in blocks]))
        mark = read_done(run.maps(scene_id)) or {}
        inputs = mark.get("inputs", {})
    except Exception as problem:  # whatever is wrong with one scene must not stop the others
        return {"error": describe(problem)}
    return {
        "footprints": tally.footprints,
        "agreement": tally.agreement.tolist(),
        "accuracy": [[*key, matrix.tolist()] for key, matrix in tally.accuracy.items()],
        "model": inputs.get("model"),
        "network": network_of(inputs),
        "source": mark.get("source"),
    }


def _tally(found: Mapping[str, Any]) -> Tally:
    accuracy = {(sky, method): np.array(matrix, np.int64) for sky, method, matrix in found["accuracy"]}
    return Tally(found["footprints"], np.array(found["agreement"], np.int64), accuracy)


def _lost(scene: Sequence[Any], found: str) -> dict[str, Any]:
    return {
        "error": f"{scene[0]} could not be compared: the worker that tried failed each time{found}. Give "
        "workers more memory (spark.executor.memoryOverhead), or label and map the scene again."
    }
