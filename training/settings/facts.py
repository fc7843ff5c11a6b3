"""What decides a training's weights: a run that goes on from a checkpoint must share it, on every rank."""

from __future__ import annotations

from typing import Any, Final

from training.settings.config import TrainConfig

FREE: Final = {
    *("chips", "out", "epochs", "patience", "keep", "absent_classes"),
    *("checkpoint_steps", "commit_steps", "wait_seconds", "threads", "gpus", "unpack", "feeders"),
    *("balance", "balance_steps", "exchange_groups"),
}
"""Settings that may change between a checkpoint and the run that goes on from it."""

_BY_CONTENT: Final = {"batch_size", "accumulate", "start"}
"""Settings that count by what they come to."""

DRAWN: Final = "fields at once, noise by SplitMix64"
"""How skies, tones and brightness are drawn; earlier versions drew them otherwise."""

ELASTIC: Final = "elastic"
"""Global batch of a training whose ranks come and go; it may go on from, or to, any other."""

Facts = dict[str, Any]


def facts_of(
    config: TrainConfig, *, ranks: int, chips: str, start: str | None = None, elastic: bool = False
) -> Facts:
    """Return the settings that decide the weights, JSON-safe.

    `chips` is the digest of the chips folder, `start` that of the weights to start from.

    `batch_size`, `accumulate` and the number of ranks count as their product only, and the balance of the
    ranks not at all: the chips of an update stay the same however they are shared out. Where the number of
    ranks may change, no product is told.
    """
    facts: Facts = config.model_dump(mode="json", exclude=FREE | _BY_CONTENT)
    facts |= {
        "dropout": list(config.dropout_rates),
        "chips": chips,
        "start": start,
        "global_batch": ELASTIC if elastic else config.rank_batch * ranks,
    }
    if config.skies or config.tones or config.brightness:
        facts["drawn"] = DRAWN
    if config.schedule == "cosine":  # its length is part of its shape
        facts["epochs"] = config.epochs
    return facts


def differences(before: Facts, now: Facts) -> list[str]:
    """Return what differs, in words; empty when nothing does."""
    keys = [*now, *(key for key in before if key not in now)]
    return [
        f"{key} was {before.get(key)!r}, now {now.get(key)!r}{_HINTS.get(key, '')}"
        for key in keys
        if before.get(key) != now.get(key) and not (key == "global_batch" and _elastic(before, now))
    ]


def joined(before: Facts, now: Facts) -> Facts:
    """Return the facts of a training that goes on: elastic as soon as a part of it was."""
    return now | {"global_batch": ELASTIC} if _elastic(before, now) else now


def _elastic(before: Facts, now: Facts) -> bool:
    return ELASTIC in (before.get("global_batch"), now.get("global_batch"))


_HINTS: Final = {"global_batch": " (batch_size x accumulate x ranks)"}
