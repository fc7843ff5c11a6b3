"""Configuration of `jobs.products`; what each product is told stands under its name."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import Literal, get_args

from pydantic import Field, field_validator

from labeling.classes import IceClass
from labeling.files.fields import AnyFolder, LocalPath
from labeling.maps.cover import AUTO
from labeling.maps.edges import LEVELS
from labeling.maps.floes.find import HOLE, NECK
from labeling.maps.floes.leads import WIDTHS
from labeling.maps.floes.sizes import FORMS
from labeling.maps.merging import Rule
from labeling.masks.limits import LimitSettings
from labeling.settings import Settings
from pipelines.engine.settings import SparkSettings

ProductName = Literal["statistics", "concentration", "mosaic", "floes", "edges", "pictures", "catalog"]
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
        [name for name in get_args(ProductName) if name != "catalog"],
        min_length=1,
        description="what is made, in this order (a catalog if it is asked for: of pictures there is none)",
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
    floes: FloeSettings = FloeSettings()
    edges: EdgeSettings = EdgeSettings()
    limits: TimeSettings = TimeSettings()
    spark: SparkSettings = SparkSettings()
