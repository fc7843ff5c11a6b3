"""Configuration of `jobs.train`; the fields are the keys of the files jobs/conf/train*.yaml."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from labeling.files.fields import LocalPath
from labeling.settings import Settings
from training.settings.task import CLASSES, Task

PUBLISHED_DROPOUT: Final = (0.1, 0.1, 0.2, 0.2, 0.2, 0.3)
"""Dropout rate of each level, top first, Iqrah et al. 2024."""

PUBLISHED_SQUEEZENET_DROPOUT: Final = 0.5
"""Dropout rate before the last convolution, Iandola et al. 2016."""

Rate = Annotated[float, Field(ge=0, lt=1)]
Channels = Literal["rgb", "grey"]
# YAML reads an unquoted 255 as a number.
Scaling = Annotated[Literal["255", "column-l2"], BeforeValidator(str)]
Precision = Literal["float32", "bfloat16", "float16"]
LossName = Literal["crossentropy", "focal", "dice"]
Gpus = Literal["auto", "required", "none"]
ScheduleName = Literal["constant", "cosine", "step"]
ClassWeight = Annotated[float, Field(gt=0, le=1000)]
Share = Annotated[float, Field(ge=0, le=1_000_000)]


class TrainConfig(Settings):
    """What to train on, the network, and how it is trained."""

    chips: LocalPath = Field(description="chips folder, as jobs.label writes it")
    out: LocalPath = Field(description="model folder to write")
    task: Task = Field("segment", description="segment: name each pixel; classify: name a whole chip's kind")

    epochs: int = Field(50, ge=1, description="passes over the training chips")
    batch_size: int = Field(32, ge=1, description="chips a rank works on at once")
    accumulate: int = Field(1, ge=1, description="batches a rank adds up before each update")
    balance: Literal["equal", "auto"] | tuple[Share, ...] = Field(
        "equal", description="chips of an update for each rank: equal, auto (by measured speed), or shares"
    )
    balance_steps: int = Field(
        64, ge=4, description="balance auto: most updates from one look at the ranks' speeds to the next"
    )
    exchange_groups: int = Field(
        4, ge=1, le=64, description="groups of gradients that ranks exchange, each while the next is made"
    )
    exchange_precision: Literal["float16"] | None = Field(
        None, description="float16: gradients travel as such, half the bytes; None: as float32, unchanged"
    )
    optimizer: Literal["adam", "sgd"] = "adam"
    learning_rate: float = Field(1e-3, gt=0, le=10, description="of the whole job; see reference_batch")
    reference_batch: int | None = Field(
        None, ge=1, description="global batch learning_rate is meant for, scaled to ours; None: not scaled"
    )
    warmup_epochs: float = Field(0.0, ge=0, description="epochs in which the learning rate rises from 0")
    schedule: ScheduleName = Field("constant", description="learning rate after the warm-up")
    decay_epochs: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (), description="schedule step: epochs after which the learning rate drops"
    )
    decay_factor: float = Field(0.1, gt=0, lt=1, description="schedule step: what a drop multiplies it by")
    loss: LossName = Field("crossentropy", description="crossentropy, focal or dice")
    focal_gamma: float = Field(
        2.0, ge=0, le=10, description="loss focal: how much easy pixels are played down"
    )
    class_weights: Literal["none", "balanced"] | tuple[ClassWeight, ...] = Field(
        "none", description="balanced: by rarity in the training chips; or a number for each class"
    )
    absent_classes: Literal["refuse", "allow"] = Field(
        "refuse", description="what to do when a class has no pixel in the training chips"
    )
    patience: int | None = Field(
        None, ge=1, description="stop after so many epochs without a better validation mean IoU; None: never"
    )
    keep: Literal["best", "last"] = Field(
        "best", description="epoch that model.keras holds: best by validation mean IoU, or the last"
    )
    precision: Precision = Field(
        "float32", description="float32, bfloat16 or float16: the network's arithmetic; weights stay float32"
    )
    augment: bool = Field(True, description="turn and mirror the chips, another way each epoch")
    skies: float = Field(
        0.0, ge=0, le=1, description="share of training chips that get drawn cloud and shadow, new each epoch"
    )
    tones: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of training chips that get other tones within their classes' ranges",
    )
    brightness: float = Field(
        0.0,
        ge=0,
        le=0.2,
        description="largest relative change of a training chip's brightness, new each epoch",
    )
    start: LocalPath | None = Field(
        None, description="model folder whose weights are the first ones; None: drawn from the seed"
    )
    seed: int = Field(2024, ge=0, description="decides order, augmentation, first weights and dropout")
    checkpoint_steps: int | None = Field(
        None, ge=1, description="updates between checkpoints inside an epoch; None: one an epoch"
    )
    commit_steps: int = Field(
        10, ge=1, description="elastic training: updates between commits, lost at most when a rank is"
    )

    channels: Channels = Field("rgb", description="what of the picture the network sees")
    scaling: Scaling = Field("255", description="column-l2 only to reproduce the published code's mistake")
    depth: int = Field(5, ge=1, le=8, description="levels of the U-Net; chips must divide by 2**(depth-1)")
    width: int = Field(16, ge=1, le=512, description="filters of the top level; doubled at each level below")
    dropout: tuple[Rate, ...] | None = Field(
        None, description="rate of each level, one to classify; None: the published ones"
    )

    wait_seconds: float = Field(
        600.0, gt=0, description="longest that ranks wait for one another between steps"
    )
    threads: int | None = Field(None, ge=1, description="CPU threads a rank; None: all cores")
    feeders: int | None = Field(
        None,
        ge=0,
        le=64,
        description="processes that make a rank's batches; 0: a thread; None: as a GPU needs, 0 without one",
    )
    unpack: bool = Field(
        True,
        description="keep chips unpacked in TMPDIR (or /var/tmp), if there is room for twice that",
    )
    gpus: Gpus = Field(
        "auto",
        description="auto: where there are any; required: and with NCCL, or not at all; none: the processor",
    )

    @model_validator(mode="after")
    def _fits_the_task(self) -> Self:
        if self.task == "classify":
            if self.loss == "dice":
                raise ValueError(
                    "loss dice compares areas, and a chip's kind has none: use another to classify"
                )
            if self.depth != TrainConfig.model_fields["depth"].default:
                raise ValueError("depth is the U-Net's: leave it out to classify")
            if self.dropout is not None and len(self.dropout) != 1:
                raise ValueError(f"the network that classifies needs 1 dropout rate, not {len(self.dropout)}")
        return self

    @model_validator(mode="after")
    def _rate_for_each_level(self) -> Self:
        if self.task == "segment" and self.dropout is not None and len(self.dropout) != self.depth:
            raise ValueError(f"depth {self.depth} needs {self.depth} dropout rates, not {len(self.dropout)}")
        return self

    @model_validator(mode="after")
    def _weight_for_each_class(self) -> Self:
        classes = len(CLASSES[self.task])
        if not isinstance(self.class_weights, str) and len(self.class_weights) != classes:
            raise ValueError(f"class_weights needs {classes} numbers, not {len(self.class_weights)}")
        return self

    @model_validator(mode="after")
    def _somebody_works(self) -> Self:
        if not any(self.balance):
            raise ValueError(f"balance {list(self.balance)} gives no rank a chip")
        return self

    @model_validator(mode="after")
    def _schedule_is_whole(self) -> Self:
        if (self.schedule == "step") != bool(self.decay_epochs):
            raise ValueError("schedule step and decay_epochs belong together: give both or neither")
        if list(self.decay_epochs) != sorted(set(self.decay_epochs)):
            raise ValueError(f"decay_epochs must rise, not {self.decay_epochs}")
        if self.schedule == "cosine" and self.warmup_epochs >= self.epochs:
            raise ValueError("schedule cosine needs warmup_epochs to be fewer than epochs")
        return self

    @model_validator(mode="after")
    def _skies_leave_labels_true(self) -> Self:
        if self.task == "classify" and (self.skies or self.tones):
            raise ValueError("skies and tones change the kind of a chip: task classify goes without them")
        return self

    @model_validator(mode="after")
    def _patience_keeps_the_best(self) -> Self:
        if self.patience is not None and self.keep == "last":
            raise ValueError("patience waits for a better epoch: it needs keep: best")
        return self

    @property
    def rank_batch(self) -> int:
        """Chips a rank contributes to an update, on average over the ranks."""
        return self.batch_size * self.accumulate

    @property
    def dropout_rates(self) -> tuple[float, ...]:
        """Rate of each level, top first; levels below the published six repeat the last rate.

        A network that classifies has one.
        """
        if self.dropout is not None:
            return self.dropout
        if self.task == "classify":
            return (PUBLISHED_SQUEEZENET_DROPOUT,)
        return tuple(PUBLISHED_DROPOUT[min(level, len(PUBLISHED_DROPOUT) - 1)] for level in range(self.depth))
