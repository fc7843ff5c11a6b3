"""Is one model as good as another: both on the same held-out chips, by mean IoU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labeling.chips.card import read_card
from labeling.chips.check import check_chips
from labeling.errors import ConfigError, ModelError
from training.data.store import ChipStore
from training.network.metrics import Scores, confusion_matrix, empty_matrix, scores
from training.predict import Predictor

BATCH = 8
"""Chips that a network is given at once."""


def judge(chips: Path, model: Path) -> Scores:
    """Return the scores of a model on the test split of a chips folder.

    ConfigError without such chips, where they are not what their card says, or no pixel of them has a class;
    ModelError for a model that takes other chips.
    """
    check_chips(chips, read_card(chips))
    store, predictor = ChipStore(chips, "test"), Predictor.load(model, batch=BATCH, task="segment")
    if store.card.rendering != predictor.card.rendering:
        raise ModelError(
            f"the chips in {chips} are of the rendering {store.card.rendering}, and the model in {model} is "
            f"for {predictor.card.rendering}: give other chips as held_out, or none."
        )
    matrix = empty_matrix()
    for images, labels in _batches(store):
        matrix += confusion_matrix(labels, predictor.predict(images).argmax(-1).astype(np.uint8))
    if not matrix.any():
        raise ConfigError(
            f"the test split of {chips} has no pixel of a class, so nothing tells whether a successor is as "
            "good. Label more scenes, or give chips as held_out."
        )
    return scores(matrix)


def _batches(store: ChipStore) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Yield pictures (N, size, size, 3) and class codes (N, size, size), in the order of the store."""
    for start in range(0, len(store), BATCH):
        chips = [store[index] for index in range(start, min(start + BATCH, len(store)))]
        yield np.stack([chip.image for chip in chips]), np.stack([chip.label for chip in chips])
