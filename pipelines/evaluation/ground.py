"""Where very many files of chips lie, read by Spark for labeling/chips/check.py."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from pyspark.sql import SparkSession

from labeling.chips.card import ChipCard
from labeling.chips.check import ChipPath
from labeling.chips.ground import Ground
from labeling.chips.places import Places, read_places
from labeling.chips.reader import AGAIN
from labeling.errors import ConfigError
from labeling.files.storage import at
from pipelines.many.mapped import mapped


def places_reader(
    spark: Callable[[], SparkSession],
) -> Callable[[Sequence[ChipPath], ChipCard], list[Places]]:
    """Return what reads where the chips of files lie, by Spark where there are many; raises as one does."""

    def read(files: Sequence[ChipPath], card: ChipCard) -> list[Places]:
        work = partial(_dumped, size=card.size, whole=not card.files)
        found = mapped(spark, [[str(file.file), file.split] for file in files], work, _lost)
        return [_loaded(file, each) for file, each in zip(files, found, strict=True)]

    return read


def _dumped(file: Sequence[Any], size: int, whole: bool) -> dict[str, Any]:
    try:
        places = read_places(at(file[0]), file[1], size, whole=whole)
    except ConfigError as error:
        return {"error": str(error)}
    return {
        "scene_id": places.scene_id,
        "rows": places.rows.tolist(),
        "columns": places.columns.tolist(),
        "scene": places.scene,
        "groups": sorted(places.groups),
    }


def _loaded(file: ChipPath, found: dict[str, Any]) -> Places:
    if "error" in found:
        raise ConfigError(found["error"])
    scene = None
    if found["scene"] is not None:
        crs, transform, height, width = found["scene"]
        scene = Ground(sys.intern(crs), tuple(transform), height, width)
    rows, columns = (np.array(found[name], np.int64) for name in ("rows", "columns"))
    groups = frozenset(map(sys.intern, found["groups"]))
    return Places(file.split, found["scene_id"], file.file, rows, columns, scene, groups)


def _lost(file: Sequence[Any], found: str) -> dict[str, Any]:
    return {"error": f"{file[0]} could not be read: the worker that tried failed each time{found}. {AGAIN}"}
