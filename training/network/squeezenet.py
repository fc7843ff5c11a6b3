"""SqueezeNet 1.1, a small network that names a whole picture. Keras layers only, as in unet.py.

Iandola et al. 2016, "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and < 0.5 MB model size",
in its authors' later version 1.1, which needs 2.4 times less arithmetic. It is chosen because it is small,
well known and does without batch normalisation, whose statistics would be those of each rank's own chips:
several ranks would no longer learn what one process does.
"""

from __future__ import annotations

from typing import Final

import keras
from keras import layers

_FIRES: Final = ((1, 1), (2, 2), (3, 3, 4, 4))
"""Filters of each fire module's squeezing layer, in multiples of `width`; a pooling precedes each group."""


def build_squeezenet(
    *, channels: int, classes: int, width: int, dropout: float, policy: str = "float32"
) -> keras.Model:
    """Return a SqueezeNet: pictures (N, H, W, channels), 0..1, in; float32 (N, 1, 1, classes), 0..1, out.

    H and W are anything from 1 pixel: borders are padded, unlike in the published network, because chips may
    be smaller than its 227 pixels. With width 16, three channels and 1000 classes it has the published
    1,235,496 parameters. `dropout` is the rate before the last convolution, `policy` the Keras dtype policy
    of all but the last layers. The last convolution has no ReLU: with few classes, one whose scores fell
    below 0 everywhere would never learn again.
    """
    picture = keras.Input((None, None, channels), name="picture")
    values = _convolution(picture, 4 * width, 3, "first", policy, strides=2)
    for group, sizes in enumerate(_FIRES, start=1):
        values = layers.MaxPooling2D(3, 2, padding="same", dtype=policy, name=f"pool{group}")(values)
        for place, size in enumerate(sizes):
            values = _fire(values, size * width, f"fire{group}{'abcd'[place]}", policy)
    values = layers.Dropout(dropout, dtype=policy, name="dropout")(values)
    scores = layers.Conv2D(classes, 1, dtype=policy, name="scores")(values)
    # float32 whatever the precision of the rest: a loss of half-precision probabilities does not converge.
    mean = layers.GlobalAveragePooling2D(keepdims=True, dtype="float32", name="mean")(scores)
    outcome = layers.Softmax(dtype="float32", name="probabilities")(mean)
    return keras.Model(picture, outcome, name="squeezenet")


def _fire(values: keras.KerasTensor, filters: int, name: str, policy: str) -> keras.KerasTensor:
    """Squeeze to a few filters, then expand these by 1 x 1 and by 3 x 3 to four times as many each."""
    squeezed = _convolution(values, filters, 1, f"{name}_squeeze", policy)
    expanded = [_convolution(squeezed, 4 * filters, side, f"{name}_expand{side}", policy) for side in (1, 3)]
    return layers.Concatenate(dtype=policy, name=name)(expanded)


def _convolution(
    values: keras.KerasTensor, filters: int, side: int, name: str, policy: str, strides: int = 1
) -> keras.KerasTensor:
    return layers.Conv2D(
        filters,
        side,
        strides=strides,
        padding="same",
        activation="relu",
        kernel_initializer="he_normal",
        dtype=policy,
        name=name,
    )(values)
