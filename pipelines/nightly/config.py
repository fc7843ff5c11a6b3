"""Configuration of `jobs.nightly`: the scenes, the site folder, and the settings of the jobs of a night."""

from __future__ import annotations

import re
from typing import Any, Final, Literal, NamedTuple, Self

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from labeling.files.fields import LocalPath
from labeling.settings import Settings, describe_invalid
from pipelines.config import InferConfig, LabelConfig
from pipelines.engine.settings import SparkSettings
from pipelines.evaluate import EvaluateConfig
from pipelines.products.config import ProductsConfig
from training.settings.config import TrainConfig

OWN: Final = frozenset({"scenes", "out", "model", "spark", "palette", "chips", "start", "run"})
"""Settings of the jobs of a night that the night itself gives."""

_WHEN: Final = re.compile(r"([1-9][0-9]{0,6}) (scene|day)s?")


class When(NamedTuple):
    """How much must have happened before a successor is trained."""

    number: int
    unit: str
    """"scene": states of scenes that are new in the series; "day"."""


class RetentionSettings(Settings):
    """What is deleted at the end of a night; nothing of the series ever is."""

    models: int = Field(3, ge=1, description="newest models kept, besides the current and its origin")
    nights: int = Field(366, ge=1, description="records of nights that are kept")
    vanished_days: int | None = Field(
        None, ge=0,
        description="days after which labels and maps of a scene that vanished are deleted; null: never",
    )  # fmt: skip


class NightlyConfig(Settings):
    """`jobs.nightly`: an archive in; labels, maps, a series and a report out, every night."""

    scenes: list[str] = Field(min_length=1, description="files, folders, globs and addresses")
    out: LocalPath = Field(description="site folder: all that the nights write")
    model: LocalPath | None = Field(
        None, description="model folder of the first night, which is copied into the site folder"
    )
    label: dict[str, Any] = Field({}, description="settings of jobs.label")
    infer: dict[str, Any] = Field({}, description="settings of jobs.infer")
    products: dict[str, Any] | None = Field(
        None, description="settings of jobs.products, what it makes of the maps every night; null: nothing"
    )
    train: dict[str, Any] = Field({}, description="settings of jobs.train, for successors")
    train_when: str = Field(
        "never", description="never, or after how much a successor is trained: 20 scenes, 7 days"
    )
    ranks: int = Field(1, ge=1, description="processes of this machine that train a successor together")
    held_out: LocalPath | None = Field(
        None,
        description="chips whose test split judges successors; null: the site's own",
    )
    worse_by: float = Field(
        0.0, ge=0, le=1, description="mean IoU that a successor may lose on these chips and still be kept"
    )
    retention: RetentionSettings = RetentionSettings()
    pictures: int = Field(24, ge=0, description="scenes that the run's report shows as pictures, at most")
    palette: Literal["polynya", "iqrah-2024"] = "polynya"
    spark: SparkSettings = SparkSettings()

    @field_validator("train_when", mode="before")
    @classmethod
    def _says_when(cls, value: object) -> object:
        # YAML reads a bare `no` as false, and 20 as a number: both are meant, and mean nothing here.
        if value == "never" or (isinstance(value, str) and _WHEN.fullmatch(value)):
            return value
        raise ValueError(f"{value!r} is neither never nor a count with its unit, as in: 20 scenes, 7 days")

    @field_validator("label", "infer", "products", "train")
    @classmethod
    def _leaves_the_nights_own(cls, value: dict[str, Any] | None, info: ValidationInfo) -> Any:
        # "chips" of jobs.label are settings, those of jobs.train a folder; "scenes" of jobs.products choose.
        given = {"label": "chips", "products": "scenes"}.get(info.field_name or "")
        own = OWN & (value or {}).keys() - {given}
        if own:
            raise ValueError(f"{min(own)} is given by the night itself: leave it out here")
        return value

    @model_validator(mode="after")
    def _jobs_would_take_them(self) -> Self:
        for name, build in (
            ("label", self.label_config),
            ("infer", lambda: self.infer_config(self.out, ["-"])),
            ("products", self.products_config),
            ("train", lambda: TrainConfig.model_validate({"chips": "-", "out": "-", **self.train})),
        ):
            try:
                build()
            except ValidationError as error:
                raise ValueError(f"{name}: {describe_invalid(error)}") from None
        return self

    @property
    def when(self) -> When | None:
        """How much must have happened before a successor is trained; None: never."""
        found = _WHEN.fullmatch(self.train_when)
        return When(int(found[1]), found[2]) if found else None

    def label_config(self) -> LabelConfig:
        """Return what jobs.label is told."""
        return LabelConfig.model_validate({**self.label, **self._shared(), "scenes": self.scenes})

    def infer_config(self, model: LocalPath, scenes: list[str]) -> InferConfig:
        """Return what jobs.infer is told."""
        return InferConfig.model_validate({**self.infer, **self._shared(), "model": model, "scenes": scenes})

    def evaluate_config(self) -> EvaluateConfig:
        """Return what jobs.evaluate is told."""
        own = {"run": self.out / "run", "spark": self.spark}
        return EvaluateConfig.model_validate(own | {"palette": self.palette, "pictures": self.pictures})

    def products_config(self) -> ProductsConfig:
        """Return what jobs.products is told."""
        asked = {"mosaic": {}} | (self.products or {})
        if isinstance(asked["mosaic"], dict):
            asked["mosaic"] = {"palette": self.palette} | asked["mosaic"]
        return ProductsConfig.model_validate({**asked, "run": self.out / "run", "spark": self.spark})

    def _shared(self) -> dict[str, Any]:
        return {"out": self.out / "run", "spark": self.spark, "palette": self.palette}
