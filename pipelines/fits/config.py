"""Configuration of `jobs.fits`."""

from __future__ import annotations

from pydantic import Field

from labeling.chips.card import LARGEST
from labeling.files.fields import AnyFolder, LocalPath
from labeling.masks.limits import LimitSettings
from labeling.settings import Settings
from pipelines.engine.settings import SparkSettings


class FitsConfig(Settings):
    """`jobs.fits`: a model and clear scenes in, figures of its maps under drawn skies out."""

    model: LocalPath = Field(description="model folder, as jobs.train writes it")
    scenes: list[str] = Field(min_length=1, description="clear scenes: files, folders, globs and addresses")
    out: AnyFolder = Field(description="folder for the figures")
    profile: str = Field("polynya", description="labels that the maps are made from: one with a guard")
    window: int = Field(1024, ge=256, le=LARGEST, description="side of a part of a scene, pixels")
    windows: int = Field(4, ge=1, description="parts of a scene, at most")
    skies: int = Field(2, ge=1, description="drawn skies over each part, of each kind")
    contradicted: float = Field(
        0.15, ge=0, le=1, description="share of the labels without shadow that a network may contradict"
    )
    seed: int = Field(2024, description="of the drawn skies")
    limits: LimitSettings = LimitSettings()
    spark: SparkSettings = SparkSettings()
