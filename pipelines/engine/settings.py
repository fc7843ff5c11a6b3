"""How a Spark session is made, and what its workers may use."""

from __future__ import annotations

from pydantic import ByteSize, Field

from labeling.settings import Settings


class SparkSettings(Settings):
    """How the Spark session is made when spark-submit has not made one."""

    master: str | None = Field(None, description="Spark master; None: spark-submit's, else local[*]")
    properties: str | None = Field(
        None, description="Spark's properties with the secret of `master`, mode 0600; none: it asks for none"
    )
    driver_memory: str = Field("2g", description="heap of a session made here")
    worker_memory: ByteSize = Field(
        ByteSize(2 << 30), ge=1 << 29, description="what one task may use; decides how scenes are shared out"
    )
    scratch: ByteSize = Field(
        ByteSize(32 << 30), ge=1 << 29, description="disk for what lies between the steps of large scenes"
    )
