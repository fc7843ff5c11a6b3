"""The losses: cross-entropy, focal and dice over the labelled pixels. Keras operations only.

Each is a sum and a weight that add up over batches and ranks; the loss is their quotient. So however the
global batch is cut up, the gradient is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import keras
from keras import ops

from labeling.classes import CLASS_COUNT, IGNORE

ClassWeights = tuple[float, ...]
"""A factor for each class, in the order of the class codes."""


class LossSum(NamedTuple):
    """A loss that adds up over batches and ranks: divide the sums, never average the ratios."""

    total: keras.KerasTensor
    """Loss summed over the labelled pixels, each times its class's weight; float32 scalar."""
    weight: keras.KerasTensor
    """Sum of those weights: the number of labelled pixels where classes have none; float32 scalar."""


Loss = Callable[[keras.KerasTensor, keras.KerasTensor], LossSum]
"""Takes class codes (N, H, W), u8, and probabilities (N, H, W, classes), float32 0..1."""


def make_loss(name: str, class_weights: ClassWeights | None = None, gamma: float = 2.0) -> Loss:
    """Return the loss "crossentropy", "focal" (with this `gamma`) or "dice"."""

    def loss(labels: keras.KerasTensor, probabilities: keras.KerasTensor) -> LossSum:
        if name == "dice":
            return masked_dice(labels, probabilities, class_weights)
        return masked_crossentropy(labels, probabilities, class_weights, gamma if name == "focal" else 0.0)

    return loss


def masked_crossentropy(
    labels: keras.KerasTensor,
    probabilities: keras.KerasTensor,
    class_weights: ClassWeights | None = None,
    gamma: float = 0.0,
) -> LossSum:
    """Sum the cross-entropy (natural logarithm) of class codes without IGNORE and probabilities.

    With `gamma` above 0 it is the focal loss: each pixel times (1 - probability of its class) ** gamma, which
    plays down the pixels that are right already (Lin et al. 2017).
    """
    codes = ops.cast(labels, "int32")
    labelled = ops.not_equal(codes, IGNORE)
    # An ignored pixel gets some valid class, so that its loss and gradient are finite before they are masked.
    known = ops.where(labelled, codes, 0)
    losses = ops.sparse_categorical_crossentropy(known, probabilities)
    if gamma:
        # Kept off 0, where a power below 1 has no gradient.
        missing = ops.clip(1.0 - ops.exp(-losses), 1e-7, 1.0)
        losses = losses * ops.power(missing, gamma)
    weights = ops.cast(labelled, "float32")
    if class_weights is not None:
        weights = weights * ops.take(ops.convert_to_tensor(class_weights, "float32"), known)
        losses = losses * weights
    return LossSum(total=ops.sum(ops.where(labelled, losses, 0.0)), weight=ops.sum(weights))


def masked_dice(
    labels: keras.KerasTensor,
    probabilities: keras.KerasTensor,
    class_weights: ClassWeights | None = None,
) -> LossSum:
    """Sum the soft dice loss of chips, each times the number of its labelled pixels.

    A chip's loss is 1 minus the mean, over the classes that its labels show, of 2 x overlap / (labelled +
    predicted), so a class that is not there needs no smoothing constant. `class_weights` weigh that mean. It
    is taken a chip at a time, because only then does it add up over batches and ranks.
    """
    codes = ops.cast(labels, "int32")
    labelled = ops.cast(ops.not_equal(codes, IGNORE), "float32")
    truth = ops.one_hot(codes, CLASS_COUNT, dtype="float32")  # of IGNORE it is all zeros
    pixels = (1, 2)
    present = ops.sum(truth, axis=pixels)
    overlap = ops.sum(truth * probabilities, axis=pixels)
    predicted = ops.sum(labelled[..., None] * probabilities, axis=pixels)
    dice = 2.0 * overlap / ops.maximum(present + predicted, 1.0)
    shares = ops.cast(present > 0, "float32")
    if class_weights is not None:
        shares = shares * ops.convert_to_tensor(class_weights, "float32")
    # A chip without a labelled pixel shows no class and weighs nothing.
    mean = ops.sum(shares * dice, axis=-1) / ops.maximum(ops.sum(shares, axis=-1), 1e-6)
    weight = ops.sum(labelled, axis=pixels)
    return LossSum(total=ops.sum(weight * (1.0 - mean)), weight=ops.sum(weight))


def balanced_weights(class_pixels: tuple[int, ...]) -> ClassWeights:
    """Return weights in inverse proportion to the classes' pixels, 1 for all when they are equally many.

    A class without a pixel gets 0: it never occurs in the loss.
    """
    total, present = sum(class_pixels), sum(pixels > 0 for pixels in class_pixels)
    return tuple(total / (present * pixels) if pixels else 0.0 for pixels in class_pixels)
