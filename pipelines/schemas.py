"""Schemas of the tables that cross from the driver to workers and back."""

from __future__ import annotations

from typing import Final

from pyspark.sql import types as T

_BLOCK: Final = T.StructType(
    [T.StructField(name, T.IntegerType(), nullable=False) for name in ("row", "column", "height", "width")]
)

_CUT: Final = T.StructType(
    [T.StructField(name, T.IntegerType(), nullable=False) for name in ("rows", "columns")]
)

WORK: Final = T.StructType(
    [
        T.StructField("scene_id", T.StringType(), nullable=False),
        T.StructField("info", T.StringType(), nullable=False),
        T.StructField("cut", _CUT, nullable=False),
        T.StructField("block", _BLOCK, nullable=False),
        T.StructField("excluded", T.StringType()),
    ]
)
"""One row a task of labelling: a block of a scene, or all of it. `info` is its SceneInfo as JSON, `cut` the
size of its blocks, `excluded` (labeling.stages.steps.Excluded as JSON) what an earlier stage found."""

_COUNTS: Final = T.ArrayType(T.LongType(), containsNull=False)

DECODED: Final = T.StructType(
    [*WORK.fields[:3], T.StructField("states", _COUNTS), T.StructField("error", T.StringType())]
)
"""How many pixels of a decoded block have each state, and are beyond reason; or why it could not be."""

COMPARED: Final = T.StructType(
    [
        *WORK.fields[:3],
        WORK["excluded"],
        T.StructField("sums", _COUNTS),
        T.StructField("error", T.StringType()),
    ]
)
"""A compared block's share of its scene's sums (labeling.ice.scene_sums.SceneSums), or why there is none."""

EXCLUDED: Final = T.StructType(
    [
        T.StructField("scene_id", T.StringType(), nullable=False),
        T.StructField("excluded", T.StringType()),
        T.StructField("error", T.StringType()),
    ]
)
"""What the whole of a decoded scene shows, or why it is refused."""

WINDOWS: Final = T.StructType(
    [
        T.StructField("scene_id", T.StringType(), nullable=False),
        T.StructField("info", T.StringType(), nullable=False),
        T.StructField("source", T.StringType(), nullable=False),
        T.StructField("labels", T.StringType()),
        T.StructField("blocks", T.ArrayType(_BLOCK, containsNull=False), nullable=False),
    ]
)
"""One row a task of mapping: blocks of one scene, one below the other. `source` and `labels` say where its
map comes from (pipelines.map_sources.MapRow)."""

PREDICTED: Final = T.StructType([*WINDOWS.fields[:4], T.StructField("error", T.StringType())])
"""Predicted blocks of a scene, or why there are none."""

OUTCOME: Final = T.StructType(
    [
        T.StructField("scene_id", T.StringType(), nullable=False),
        T.StructField("error", T.StringType()),
    ]
)
"""What became of a scene: `error` is null when it went well."""
