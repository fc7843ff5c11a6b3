"""Scenes opened to be described, as the catalogue needs them: a few by the driver, many by Spark.

Which of the two changes nothing of what is said of a scene, nor in which order.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from pyspark.sql import SparkSession

from labeling.errors import describe
from labeling.files.uri import shown
from labeling.masks.limits import LimitSettings
from labeling.scenes.contract.scene import SceneInfo
from labeling.scenes.open import open_scene
from labeling.text import encodable
from pipelines.engine.scenes import CatalogRow, Failure, table_of
from pipelines.many.mapped import mapped

Described = SceneInfo | Failure


def describe_all(
    uris: Sequence[str], limits: LimitSettings, spark: Callable[[], SparkSession] | None = None
) -> list[Described]:
    """Open scenes; return what each is, or why it cannot be used, in their order.

    Without `spark` the driver opens them all.
    """
    by_spark = [uri for uri in uris if encodable(uri) == uri]  # other names are no text of Spark's
    described: dict[str, Described] = {}
    if spark is not None:
        found = mapped(spark, by_spark, partial(_described, limits=limits), _lost)
        described = dict(zip(by_spark, map(_loaded, found), strict=True))
    return [described[uri] if uri in described else describe_scene(uri, limits) for uri in uris]


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


def _described(uri: str, limits: LimitSettings) -> dict[str, Any]:
    return describe_scene(uri, limits)._asdict()


def _loaded(found: dict[str, Any]) -> Described:
    if "reason" in found:
        return Failure(**found)
    crs = found["crs"]
    # Some thousand letters that are the same for most scenes.
    return SceneInfo(**found | {"crs": crs if crs is None else sys.intern(crs)})


def _lost(uri: str, found: str) -> dict[str, Any]:
    reason = (
        f"{shown(uri)} could not be opened: the worker that tried failed each time{found}. Fetch the file "
        "again, or leave it out."
    )
    return Failure(shown(uri), "open", reason)._asdict()
