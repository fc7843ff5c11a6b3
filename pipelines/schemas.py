"""Schemas of every table that crosses a boundary."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
from pyspark.sql import types as T

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
    ]
)
"""One row a scene, in catalog.parquet: labeling.scene.SceneInfo with the run's scene id."""

_BLOCK: Final = T.StructType(
    [T.StructField(name, T.IntegerType(), nullable=False) for name in ("row", "column", "height", "width")]
)

WORK: Final = T.StructType(
    [
        T.StructField("scene_id", T.StringType(), nullable=False),
        T.StructField("info", T.StringType(), nullable=False),
        T.StructField("blocks", T.ArrayType(_BLOCK, containsNull=False), nullable=False),
    ]
)
"""One row a task: blocks of one scene that are read together; `info` is its SceneInfo as JSON."""

PREDICTED: Final = T.StructType(
    [
        T.StructField("scene_id", T.StringType(), nullable=False),
        T.StructField("info", T.StringType(), nullable=False),
        T.StructField("scratch", T.ArrayType(T.StringType(), containsNull=False), nullable=False),
        T.StructField("error", T.StringType()),
    ]
)
"""What a map step hands to its reduce step: files of finished blocks, or why there are none."""

MAPPED: Final = T.StructType(
    [*PREDICTED.fields, T.StructField("histogram", T.ArrayType(T.LongType(), False), nullable=False)]
)
"""The same for labelling, with the blocks' share of the scene's histogram."""

OUTCOME: Final = T.StructType(
    [
        T.StructField("scene_id", T.StringType(), nullable=False),
        T.StructField("error", T.StringType()),
    ]
)
"""What became of a scene: `error` is null when it went well."""
