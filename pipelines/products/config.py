"""Configuration of `jobs.products`; what each product is told stands under its name."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field

from labeling.files.fields import AnyFolder
from labeling.masks.limits import LimitSettings
from labeling.settings import Settings
from pipelines.engine.settings import SparkSettings

ProductName = Literal["statistics"]
"""What can be made; registry.py says how."""


class TimeSettings(Settings):
    """How long work may take."""

    seconds: float = Field(
        3600, gt=0, le=1e6, description="a part of a product that takes longer is given up"
    )

    @property
    def limits(self) -> LimitSettings:
        """The same for what does the rows of a task."""
        return LimitSettings(seconds=self.seconds)


class StatisticsSettings(Settings):
    """Areas of classes."""


class ProductsConfig(Settings):
    """`jobs.products`: a run folder with maps in, products of them out."""

    run: AnyFolder = Field(description="run folder, here or s3://bucket/folder")
    products: list[ProductName] = Field(
        ["statistics"], min_length=1, description="what is made, in this order"
    )
    of: Literal["maps", "labels"] = Field("maps", description="what products are made of")
    scenes: list[str] = Field([], description="ids of scenes, or patterns of them with *; empty: all")
    since: date | None = Field(None, description="scenes sensed on this day or later, UTC")
    until: date | None = Field(None, description="scenes sensed on this day or earlier, UTC")
    rendering: str | None = Field(None, description="scenes of this rendering only; null: all")
    statistics: StatisticsSettings = StatisticsSettings()
    limits: TimeSettings = TimeSettings()
    spark: SparkSettings = SparkSettings()
