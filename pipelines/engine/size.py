"""Scenes that take more memory or disk than there is, or whose header says so, are refused before they do."""

from __future__ import annotations

from collections.abc import Iterable

from labeling.errors import SceneError
from labeling.files.uri import quoted
from labeling.scenes.contract.scene import SceneInfo
from pipelines.engine.plan import SCRATCH_BYTES, memory_of
from pipelines.engine.scenes import CatalogRow, Failure


def part_by_size(
    rows: Iterable[CatalogRow], *, memory: int, scratch: int
) -> tuple[list[CatalogRow], list[Failure]]:
    """Part the scenes into those for which a worker's memory and the scratch disk suffice, and refusals."""
    good, bad = [], []
    for row in rows:
        try:
            check_size(row.info, memory=memory, scratch=scratch)
            good.append(row)
        except SceneError as error:
            bad.append(Failure(row.scene_id, "label", str(error)))
    return good, bad


def check_size(info: SceneInfo, *, memory: int, scratch: int) -> None:
    """Raise SceneError when a scene needs more than `memory` bytes a worker and `scratch` bytes of disk."""
    whole, layers = memory_of(info), SCRATCH_BYTES * info.height * info.width
    if whole <= memory or (info.windowed and layers <= scratch):
        return
    size = f"{info.where} says that it has {info.height} x {info.width} pixels."
    if info.windowed:
        raise SceneError(
            f"{size} That takes {_gib(layers)} of disk, more than spark.scratch allows ({_gib(scratch)}). "
            "Raise it, or leave the scene out if its header is wrong."
        )
    raise SceneError(
        f"{size} It is decoded as a whole, which takes {_gib(whole)} of memory, more than "
        f"spark.worker_memory allows ({_gib(memory)}). Make it a GeoTIFF that is read in pieces "
        f"(`rio convert {quoted(info.uri)} tiled.tif --co tiled=true`), raise the limit, or leave the scene "
        "out if its header is wrong."
    )


def _gib(size: int) -> str:
    return f"{size / (1 << 30):,.1f} GiB"
