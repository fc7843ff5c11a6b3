"""The learning rate over a training: warm-up, then constant, in steps or along a cosine. Pure numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

from training.settings.config import ScheduleName, TrainConfig


@dataclass(frozen=True)
class Schedule:
    """Learning rate as a function of progress, counted in epochs and parts of epochs.

    Progress is what has been seen of the chips, so the curve stays the same whatever the batch and the
    number of ranks, and a resumed training finds its place on it.
    """

    peak: float
    """Learning rate after the warm-up."""
    epochs: int
    """Epoch at whose end the cosine reaches 0."""
    warmup_epochs: float = 0.0
    kind: ScheduleName = "constant"
    decay_epochs: tuple[int, ...] = ()
    decay_factor: float = 0.1

    @classmethod
    def of(cls, config: TrainConfig, global_batch: int) -> Self:
        """Return the schedule of a configuration for updates of `global_batch` chips.

        With `reference_batch` the learning rate grows in proportion to the batch (Goyal et al. 2017): n times
        the chips an update make n times fewer updates, each of them n times as far.
        """
        scale = global_batch / config.reference_batch if config.reference_batch else 1.0
        return cls(
            peak=config.learning_rate * scale,
            epochs=config.epochs,
            warmup_epochs=config.warmup_epochs,
            kind=config.schedule,
            decay_epochs=config.decay_epochs,
            decay_factor=config.decay_factor,
        )

    def rate(self, before: float, after: float) -> float:
        """Return the learning rate of an update that takes progress from `before` to `after`, in epochs.

        The warm-up looks at `after`, so that the first update is not in vain; the rest at `before`, so that
        the last one is not.
        """
        if after < self.warmup_epochs:
            return self.peak * after / self.warmup_epochs
        if self.kind == "cosine":
            share = (before - self.warmup_epochs) / (self.epochs - self.warmup_epochs)
            return self.peak * 0.5 * (1 + math.cos(math.pi * min(max(share, 0.0), 1.0)))
        return self.peak * self.decay_factor ** sum(before >= epoch for epoch in self.decay_epochs)
