"""What decides a training's weights: a run that goes on from a checkpoint must share it, on every rank."""

from __future__ import annotations

from typing import Any, Final

from training.config import TrainConfig

FREE: Final = {
    *("chips", "out", "epochs", "patience", "absent_classes"),
    *("checkpoint_steps", "wait_seconds", "threads"),
}
"""Settings that may change between a checkpoint and the run that goes on from it."""

Facts = dict[str, Any]


def facts_of(config: TrainConfig, *, ranks: int, chips: str) -> Facts:
    """Return the settings that decide the weights, JSON-safe; `chips` is the digest of the chips folder.

    `batch_size`, `accumulate` and the number of ranks count as their product only: the chips of an update
    stay the same however they are shared out.
    """
    facts: Facts = config.model_dump(mode="json", exclude=FREE | {"batch_size", "accumulate"})
    facts |= {
        "dropout": list(config.dropout_rates),
        "chips": chips,
        "global_batch": config.rank_batch * ranks,
    }
    if config.schedule == "cosine":  # its length is part of its shape
        facts["epochs"] = config.epochs
    return facts


def differences(before: Facts, now: Facts) -> list[str]:
    """Return what differs, in words; empty when nothing does."""
    keys = [*now, *(key for key in before if key not in now)]
    return [
        f"{key} was {before.get(key)!r}, now {now.get(key)!r}{_HINTS.get(key, '')}"
        for key in keys
        if before.get(key) != now.get(key)
    ]


_HINTS: Final = {"global_batch": " (batch_size x accumulate x ranks)"}
