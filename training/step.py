"""The two compiled functions of a training: a step that learns and a step that only looks."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from training.distributed import Sums, sum_step
from training.losses import masked_crossentropy


class StepLoss(NamedTuple):
    """Loss of one step, not yet divided; float32 scalars."""

    total: tf.Tensor
    """Cross-entropy summed over the labelled pixels."""
    pixels: tf.Tensor
    """Number of labelled pixels."""


class Look(NamedTuple):
    """What a validation step of one rank finds."""

    loss: StepLoss
    predicted: tf.Tensor
    """Most probable class codes (B, H, W), u8."""


TrainStep = Callable[[tf.Tensor, tf.Tensor], StepLoss]
LookStep = Callable[[tf.Tensor, tf.Tensor], Look]


def make_optimizer(name: str, learning_rate: float, model: keras.Model) -> keras.Optimizer:
    """Return "adam" or "sgd" with its variables already made, so that they can be broadcast and restored."""
    kinds = {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD}
    optimizer = kinds[name](learning_rate)
    optimizer.build(model.trainable_variables)
    return optimizer


def make_train_step(model: keras.Model, optimizer: keras.Optimizer) -> TrainStep:
    """Return the step that updates the model from every rank's batch at once; a collective.

    It takes this rank's images and labels and returns the loss over all ranks.
    """

    def train_step(images: tf.Tensor, labels: tf.Tensor) -> StepLoss:
        variables = model.trainable_variables
        with tf.GradientTape() as tape:
            loss = masked_crossentropy(labels, model(images, training=True))
        gradients = tape.gradient(loss.total, [variable.value for variable in variables])
        summed = sum_step(Sums(gradients, loss.total, loss.pixels))
        # A step in which no rank has a labelled pixel must not divide by zero.
        pixels = tf.maximum(summed.pixels, 1.0)
        optimizer.apply([gradient / pixels for gradient in summed.gradients], variables)
        return StepLoss(summed.loss, summed.pixels)

    # Horovod has no XLA kernel on CPU.
    compiled: TrainStep = tf.function(train_step, jit_compile=False)
    return compiled


def make_look_step(model: keras.Model) -> LookStep:
    """Return the step that gives this rank's loss and classes; no collective."""

    def look_step(images: tf.Tensor, labels: tf.Tensor) -> Look:
        probabilities = model(images, training=False)
        loss = masked_crossentropy(labels, probabilities)
        predicted = tf.cast(tf.argmax(probabilities, axis=-1), tf.uint8)
        return Look(StepLoss(loss.total, loss.pixels), predicted)

    compiled: LookStep = tf.function(look_step, jit_compile=False)
    return compiled


def seed_dropout(model: keras.Model, *, seed: int, epoch: int, rank: int) -> None:
    """Start every dropout layer's random numbers anew from these three.

    Ranks drop different units, and an epoch drops the same ones whether or not the training was resumed.
    """
    found = [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    for place, layer in enumerate(found):
        if layer.rate == 0:  # has no random numbers
            continue
        state = layer.seed_generator.state
        numbers = np.random.SeedSequence([seed, epoch, rank, place]).generate_state(2, np.uint32)
        # Half the range: the variable's type is unsigned on some backends and signed on others.
        state.assign((numbers >> 1).astype(state.dtype))
