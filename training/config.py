"""Configuration of `jobs.train`; the fields are the keys of the files jobs/conf/train*.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from labeling.settings import Settings
from training.inputs import Channels, Scaling

PUBLISHED_DROPOUT: Final = (0.1, 0.1, 0.2, 0.2, 0.2, 0.3)
"""Dropout rate of each level, top first, Iqrah et al. 2024."""

Rate = Annotated[float, Field(ge=0, lt=1)]


class TrainConfig(Settings):
    """What to train on, the network, and how it is trained."""

    chips: Path = Field(description="chips folder, as jobs.label writes it")
    out: Path = Field(description="model folder to write")

    epochs: int = Field(50, ge=1, description="passes over the training chips")
    batch_size: int = Field(32, ge=1, description="chips a rank and step; the global batch is this x ranks")
    optimizer: Literal["adam", "sgd"] = "adam"
    learning_rate: float = Field(1e-3, gt=0, le=10, description="of the whole job; not scaled by the ranks")
    augment: bool = Field(True, description="turn and mirror the chips, another way each epoch")
    seed: int = Field(2024, ge=0, description="decides order, augmentation, first weights and dropout")

    channels: Channels = Field("rgb", description="what of the picture the network sees")
    scaling: Scaling = Field("255", description="column-l2 only to reproduce the published code's mistake")
    depth: int = Field(5, ge=1, le=8, description="levels of the U-Net; chips must divide by 2**(depth-1)")
    width: int = Field(16, ge=1, le=512, description="filters of the top level; doubled at each level below")
    dropout: tuple[Rate, ...] | None = Field(None, description="rate of each level; None: the published ones")

    threads: int | None = Field(None, ge=1, description="CPU threads a rank; None: all cores")

    @model_validator(mode="after")
    def _rate_for_each_level(self) -> Self:
        if self.dropout is not None and len(self.dropout) != self.depth:
            raise ValueError(f"depth {self.depth} needs {self.depth} dropout rates, not {len(self.dropout)}")
        return self

    @property
    def dropout_rates(self) -> tuple[float, ...]:
        """Rate of each level, top first; levels below the published six repeat the last rate."""
        if self.dropout is not None:
            return self.dropout
        return tuple(PUBLISHED_DROPOUT[min(level, len(PUBLISHED_DROPOUT) - 1)] for level in range(self.depth))
