"""The scenes of a run, as every step knows them, and those that a step could not do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import pyarrow as pa

from labeling.scenes.contract.scene import SceneInfo

CATALOG: Final = pa.schema(
    [
        pa.field("scene_id", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("group", pa.string(), nullable=False),
        pa.field("renderings", pa.list_(pa.string()), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("crs", pa.string()),
        pa.field("transform", pa.list_(pa.float64())),
        pa.field("block", pa.list_(pa.int32()), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("modified_ns", pa.int64(), nullable=False),
        pa.field("etag", pa.string()),
        pa.field("product_type", pa.string()),
        pa.field("baseline", pa.string()),
        pa.field("sensing_time", pa.string()),
        pa.field("relative_orbit", pa.int32()),
        pa.field("tile", pa.string()),
        pa.field("sun_zenith", pa.float64()),
        pa.field("angles", pa.list_(pa.list_(pa.float64()))),
        pa.field("unit", pa.string()),
        pa.field("rim", pa.int32(), nullable=False),
        pa.field("doubts", pa.list_(pa.list_(pa.string()))),
        pa.field("seen", pa.string()),
    ]
)
"""One row a scene, in catalog.parquet: labeling.scenes.contract.scene.SceneInfo with the run's scene id, and
what the scene looked like from outside (labeling.scenes.seen)."""


class CatalogRow(NamedTuple):
    """A scene of a run."""

    scene_id: str
    info: SceneInfo
    seen: str | None = None
    """What its files looked like before it was opened; None where it has to be opened to be known."""


class Failure(NamedTuple):
    """A scene that a step could not do."""

    scene: str
    step: str
    reason: str


def table_of(rows: Iterable[CatalogRow]) -> pa.Table:
    """Return the catalogue's table; an exception where a fact of a scene is none that it can hold."""
    records = [{"scene_id": row.scene_id, **row.info._asdict(), "seen": row.seen} for row in rows]
    return pa.Table.from_pylist(records, schema=CATALOG)
