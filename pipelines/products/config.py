"""Configuration of `jobs.products`; what each product is told stands under its name."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field

from labeling.files.fields import AnyFolder, LocalPath
from labeling.maps.cover import AUTO
from labeling.maps.merging import Rule
from labeling.masks.limits import LimitSettings
from labeling.settings import Settings
from pipelines.engine.settings import SparkSettings

ProductName = Literal["statistics", "concentration", "mosaic"]
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
    """Areas of classes by scene, by polygon and by cell."""

    polygons: LocalPath | None = Field(None, description="polygons to count by, of a kind of vector_kinds.py")
    layer: str | None = Field(None, description="of a polygon file with several")
    name: str | None = Field(None, description="field of the polygons that names them in the tables")
    cell_km: float | None = Field(25, gt=0, le=1000, description="side of cells to count by; null: no cells")
    crs: str = Field(AUTO, description="system of the cells; auto: EASE-Grid 2.0 of the scene's hemisphere")


class MosaicSettings(Settings):
    """One map from many."""

    rule: Rule | Literal["auto"] = Field(AUTO, description="which of several maps a pixel is taken from")
    crs: str = Field(AUTO, description="auto: that of all maps, else EASE-Grid 2.0 of their hemisphere")
    pixel: float | None = Field(None, gt=0, description="units of crs; null: the pixel of the maps")
    bounds: tuple[float, float, float, float] | None = Field(
        None, description="west, south, east and north in crs; null: all maps"
    )
    palette: Literal["polynya", "iqrah-2024"] = "polynya"


class ConcentrationSettings(Settings):
    """Shares of ice on a grid of cells."""

    cell_km: float = Field(5, ge=0.1, le=1000, description="side of a cell")
    crs: str = Field(AUTO, description="auto: EASE-Grid 2.0 of the maps' hemisphere")
    period: Literal["auto", "day", "all"] = Field(
        AUTO, description="a slice for each day, UTC, or one for all; auto: all where no map has a time"
    )
    rule: Rule | Literal["auto"] = Field(AUTO, description="which of several maps ground is taken from")
    least: float = Field(0.25, gt=0, le=1, description="share of a cell that must have a class")
    institution: str = Field("not stated", min_length=1, description="who made the file, as it says")


class ProductsConfig(Settings):
    """`jobs.products`: a run folder with maps in, products of them out."""

    run: AnyFolder = Field(description="run folder, here or s3://bucket/folder")
    products: list[ProductName] = Field(
        ["statistics", "concentration", "mosaic"], min_length=1, description="what is made, in this order"
    )
    of: Literal["maps", "labels"] = Field("maps", description="what products are made of")
    scenes: list[str] = Field([], description="ids of scenes, or patterns of them with *; empty: all")
    since: date | None = Field(None, description="scenes sensed on this day or later, UTC")
    until: date | None = Field(None, description="scenes sensed on this day or earlier, UTC")
    rendering: str | None = Field(None, description="scenes of this rendering only; null: all")
    mixed: bool = Field(False, description="put maps of several renderings together all the same")
    statistics: StatisticsSettings = StatisticsSettings()
    concentration: ConcentrationSettings = ConcentrationSettings()
    mosaic: MosaicSettings = MosaicSettings()
    limits: TimeSettings = TimeSettings()
    spark: SparkSettings = SparkSettings()
