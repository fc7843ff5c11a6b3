"""Configuration of `jobs.products`; what each product is told stands under its name."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import Literal

from pydantic import Field, field_validator

from labeling.classes import IceClass
from labeling.files.fields import AnyFolder, LocalPath
from labeling.maps.edges import LEVELS
from labeling.maps.floes import HOLE, NECK
from labeling.maps.leads import WIDTHS
from labeling.maps.sizes import FORMS
from labeling.masks.limits import LimitSettings
from labeling.settings import Settings
from pipelines.engine.settings import SparkSettings

ProductName = Literal["statistics", "floes", "edges", "catalog"]
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


class FloeSettings(Settings):
    """What floes and leads are."""

    ice: list[Literal["thin_ice", "thick_ice"]] = Field(
        ["thick_ice"], min_length=1, description="classes that floes are made of; leads are of the others"
    )
    neck: float = Field(
        NECK, ge=0, le=1, description="width of a neck beside the narrower piece, below which floes are two"
    )
    hole: int = Field(HOLE, ge=0, description="pixels of a hole, at most, that is part of its floe")
    least: int = Field(64, ge=1, description="pixels of a floe that is counted, at least")
    bins: list[float] = Field(
        list(FORMS), min_length=1, description="diameters, metres, where bins of sizes begin"
    )
    power_law_from: float | None = Field(
        None, gt=0, description="metres of diameter from which a power law is fitted; null: found"
    )
    lead_widths: list[float] = Field(
        list(WIDTHS), min_length=1, description="metres, where bins of widths end; wider water is no lead"
    )

    @field_validator("bins", "lead_widths")
    @classmethod
    def _rising(cls, values: list[float]) -> list[float]:
        if values[0] <= 0 or any(low >= high for low, high in pairwise(values)):
            raise ValueError("must be above 0 and rise from one to the next")
        return values

    @property
    def codes(self) -> list[int]:
        """Codes of the classes that floes are made of."""
        return [int(IceClass[name.upper()]) for name in self.ice]


class EdgeSettings(Settings):
    """Which edges are drawn, and what they are compared with."""

    levels: list[float] = Field(
        list(LEVELS), min_length=1, description="concentrations along the edges, 0..1"
    )
    days: list[date] = Field([], description="days whose edges are drawn and compared; empty: all")
    reference: LocalPath | None = Field(
        None, description="NetCDF of concentrations on the same grid that edges are compared with"
    )
    variable: str = Field("ice_conc", description="name of the concentration in the reference")

    @field_validator("levels")
    @classmethod
    def _shares(cls, values: list[float]) -> list[float]:
        if any(not 0 < value < 1 for value in values):
            raise ValueError("must lie between 0 and 1")
        return values


class ProductsConfig(Settings):
    """`jobs.products`: a run folder with maps in, products of them out."""

    run: AnyFolder = Field(description="run folder, here or s3://bucket/folder")
    products: list[ProductName] = Field(
        ["statistics", "floes"], min_length=1, description="what is made, in this order"
    )
    of: Literal["maps", "labels"] = Field("maps", description="what products are made of")
    scenes: list[str] = Field([], description="ids of scenes, or patterns of them with *; empty: all")
    since: date | None = Field(None, description="scenes sensed on this day or later, UTC")
    until: date | None = Field(None, description="scenes sensed on this day or earlier, UTC")
    rendering: str | None = Field(None, description="scenes of this rendering only; null: all")
    statistics: StatisticsSettings = StatisticsSettings()
    floes: FloeSettings = FloeSettings()
    edges: EdgeSettings = EdgeSettings()
    limits: TimeSettings = TimeSettings()
    spark: SparkSettings = SparkSettings()
