"""Configuration of `jobs.calibrate`; its fields are the keys of jobs/conf/calibrate.yaml."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from labeling.files.fields import AnyFolder, LocalPath
from labeling.masks.clouds.find import CloudSettings
from labeling.masks.land import LandSettings
from labeling.masks.limits import LimitSettings
from labeling.settings import Settings
from pipelines.engine.settings import SparkSettings


class HintSettings(Settings):
    """Where hints are: points or polygons whose class somebody knows."""

    file: LocalPath | None = Field(None, description="any format and CRS that OGR reads (null: no hints)")
    layer: str | None = Field(None, description="name of the layer; needed only where there are several")
    column: str | None = Field(None, description="column with the classes (null: the one that holds them)")


class CalibrateConfig(Settings):
    """`jobs.calibrate`: scenes, and maybe hints, in; a profile, figures and a page out."""

    scenes: list[str] = Field(min_length=1, description="files, folders, globs and addresses")
    out: AnyFolder = Field(description="folder for the results, here or s3://bucket/folder")
    start: str = Field("polynya", description="profile whose rendering and filter are kept")
    hints: HintSettings = HintSettings()
    limits: LimitSettings = LimitSettings()
    land: LandSettings = LandSettings()
    clouds: CloudSettings = CloudSettings()
    palette: Literal["polynya", "iqrah-2024"] = "polynya"
    pictures: int = Field(8, ge=0, description="scenes that the page shows as pictures, at most")
    spark: SparkSettings = SparkSettings()
