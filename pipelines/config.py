"""Configuration of the Spark jobs; each model's fields are the keys of its file in jobs/conf."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from labeling.chips.card import LARGEST
from labeling.files.fields import AnyFolder, LocalPath
from labeling.masks.clouds.find import CloudSettings
from labeling.masks.land import LandSettings
from labeling.masks.limits import LimitSettings
from labeling.settings import Settings
from pipelines.engine.settings import SparkSettings

Output = Literal["labels", "quicklook", "chips"]
MapOutput = Literal["classes", "probability", "uncertainty"]


class ChipSettings(Settings):
    """How labelled scenes are cut into training chips."""

    size: int = Field(256, ge=16, le=LARGEST, description="side of a chip, pixels")
    max_ignore: float = Field(0.5, ge=0, le=1, description="largest share of ignored pixels in a chip")
    val_share: float = Field(0.15, gt=0, lt=0.5, description="share of scenes (or of a scene) for validation")
    test_share: float = Field(0.2, gt=0, lt=0.5, description="share of scenes (or of a scene) for the test")
    seed: int = Field(2024, description="decides which scenes go into which split")


class LabelConfig(Settings):
    """`jobs.label`: scenes in, labels, quicklooks and chips out."""

    scenes: list[str] = Field(min_length=1, description="files, folders, globs and addresses")
    out: AnyFolder = Field(description="run folder, here or s3://bucket/folder")
    profile: str = Field("polynya", description="name of a shipped profile, or a .yaml file")
    cut: Literal["auto", "never", "always"] = Field(
        "auto", description="whether scenes are cut into blocks; never changes a result"
    )
    block_size: int | None = Field(
        None, ge=16, description="side of a block, pixels (null: planned); never changes a result"
    )
    limits: LimitSettings = LimitSettings()
    land: LandSettings = LandSettings()
    clouds: CloudSettings = CloudSettings()
    outputs: list[Output] = Field(["labels", "quicklook", "chips"], min_length=1)
    palette: Literal["polynya", "iqrah-2024"] = "polynya"
    chips: ChipSettings = ChipSettings()
    spark: SparkSettings = SparkSettings()


class InferConfig(Settings):
    """`jobs.infer`: a model and scenes in, maps out."""

    model: LocalPath = Field(description="model folder, as jobs.train writes it")
    scenes: list[str] = Field(min_length=1, description="files, folders, globs and addresses")
    out: AnyFolder = Field(description="run folder, here or s3://bucket/folder")
    columns: int | None = Field(
        None,
        ge=32,
        description="columns that a task takes at most, in whole cells of the network (null: what "
        "spark.worker_memory allows); another number may change a probability's last digit",
    )
    limits: LimitSettings = LimitSettings()
    land: LandSettings = LandSettings()
    network: Literal["checked", "alone"] = Field(
        "checked",
        description="checked: asked where labels, in `out`, saw shadow, if it agrees with them elsewhere; "
        "alone: it draws all of every map",
    )
    contradicted: float = Field(
        0.15, ge=0, le=1, description="share of the labels without shadow that a network may contradict"
    )
    outputs: list[MapOutput] = Field(
        ["classes"], min_length=1, description="what is written of a map; classes are in any case"
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="what the network computes in; bfloat16 gives slightly other maps"
    )
    palette: Literal["polynya", "iqrah-2024"] = "polynya"
    spark: SparkSettings = SparkSettings()
