"""Mixed precision: the network computes in half precision, weights, losses and collectives stay float32.

bfloat16 has float32's range and needs nothing else. float16 ends at 65504 and 6e-8, so the loss is multiplied
by a scale that Keras's LossScaleOptimizer halves when a gradient overflows and doubles after a quiet while.
"""

from __future__ import annotations

import math
from typing import Final

import keras

from labeling.errors import ConfigError
from training.settings.config import Precision

POLICIES: Final[dict[Precision, str]] = {
    "float32": "float32",
    "bfloat16": "mixed_bfloat16",
    "float16": "mixed_float16",
}
"""Keras dtype policy of each precision."""

MOST_SKIPPED: Final = 40
"""Updates in a row that may be skipped: 2**40 is further than any scale has to fall."""


def settle_keras() -> None:
    """Set Keras to what our networks are built on, whatever a file in the user's home says.

    ConfigError when it was loaded on another backend before we could choose (training/__init__.py).
    """
    if keras.backend.backend() != "tensorflow":
        raise ConfigError(
            f"Keras runs on {keras.backend.backend()} here, and training needs TensorFlow: something has "
            "loaded Keras first. Start with KERAS_BACKEND=tensorflow."
        )
    keras.config.set_floatx("float32")
    keras.config.set_image_data_format("channels_last")


def computing_in(network: keras.Model, precision: Precision) -> keras.Model:
    """Return a network with the same weights that computes in a precision, all but its last layer."""
    last = network.layers[-1].name

    def copied(layer: keras.Layer) -> keras.Layer:
        policy = "float32" if layer.name == last else POLICIES[precision]
        return layer.__class__.from_config(layer.get_config() | {"dtype": policy})

    found = keras.models.clone_model(network, clone_function=copied)
    found.set_weights(network.get_weights())
    return found


def scaling_loss(optimizer: keras.Optimizer, pixels: int) -> keras.Optimizer:
    """Wrap an optimiser in dynamic loss scaling for losses that are sums over up to `pixels` pixels.

    The usual first scale, 2**15, is meant for a loss averaged over the batch. Powers of two cost no digit.
    """
    first = 2.0 ** (15 - math.ceil(math.log2(pixels)))
    return keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=first)
