"""The loss: cross-entropy over the labelled pixels. Keras operations only."""

from __future__ import annotations

from typing import NamedTuple

import keras
from keras import ops

from labeling.classes import IGNORE


class LossSum(NamedTuple):
    """A loss that adds up over batches and ranks: divide the sums, never average the ratios."""

    total: keras.KerasTensor
    """Cross-entropy summed over the labelled pixels, float32 scalar, natural logarithm."""
    pixels: keras.KerasTensor
    """Number of labelled pixels, float32 scalar (exact to 16.7 million)."""


def masked_crossentropy(labels: keras.KerasTensor, probabilities: keras.KerasTensor) -> LossSum:
    """Sum the cross-entropy of class codes (N, H, W) without IGNORE and probabilities (N, H, W, 3) 0..1."""
    codes = ops.cast(labels, "int32")
    labelled = ops.not_equal(codes, IGNORE)
    # An ignored pixel gets some valid class, so that its loss and gradient are finite before they are masked.
    losses = ops.sparse_categorical_crossentropy(ops.where(labelled, codes, 0), probabilities)
    return LossSum(
        total=ops.sum(ops.where(labelled, losses, 0.0)),
        pixels=ops.sum(ops.cast(labelled, "float32")),
    )
