"""The two compiled functions of a training: a step that learns and a step that only looks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from training.network.losses import Loss
from training.network.precision import scaling_loss
from training.ranks.collectives import Flags, Sums, sum_step
from training.ranks.exchange import Exchange
from training.settings.config import Precision


class StepLoss(NamedTuple):
    """Loss of one step, not yet divided; numbers, or float32 scalars."""

    total: Any
    """Loss summed over the labelled pixels."""
    weight: Any
    """What to divide it by: the number of labelled pixels, weighted by class if classes have weights."""


class Update(NamedTuple):
    """What a training step found over all ranks; the same on each but for `ready`."""

    loss: StepLoss
    finite: bool
    """Whether every gradient was a number; with loss scaling the update was skipped if not."""
    flags: Flags
    """Which flags any rank raised."""
    ready: float
    """When this rank had its own gradients and began to wait for the others', s since 1970."""


class Look(NamedTuple):
    """What a validation step of one rank finds."""

    loss: StepLoss
    predicted: tf.Tensor
    """Most probable class codes (B, H, W), u8."""


LookStep = Callable[[tf.Tensor, tf.Tensor], Look]

ALONE: Final = Exchange()
"""All gradients in one group, as float32."""

COMPILED: Final = {"jit_compile": False, "reduce_retracing": True, "autograph": False}
"""Horovod has no XLA kernel on CPU. A second batch size makes the graph one for any size. No Python `if` or
`for` looks at a tensor, which AutoGraph would be for: to load it takes each process more than a second."""


def make_optimizer(
    name: str, learning_rate: float, model: keras.Model, *, precision: Precision = "float32", pixels: int = 1
) -> keras.Optimizer:
    """Return "adam" or "sgd" with its variables already made, so that they can be broadcast and restored.

    For float16 it scales the loss; `pixels` is how many a rank's batch has.
    """
    kinds = {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD}
    optimizer = kinds[name](learning_rate)
    if precision == "float16":
        optimizer = scaling_loss(optimizer, pixels)
    optimizer.build(model.trainable_variables)
    return optimizer


Graph = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


class TrainStep:
    """A step that updates the model from every rank's batch at once; a collective."""

    def __init__(self, graph: Graph) -> None:
        """Take the compiled step: images, labels and flags, as float32, in; the numbers of an Update out."""
        self.graph = graph

    def __call__(self, images: tf.Tensor, labels: tf.Tensor, flags: Flags) -> Update:
        """Update from this rank's images (B, H, W, C), u8 or scaled, labels (B, H, W) and flags.

        B may differ between ranks and steps, and may be 0.
        """
        told, ready = self.graph(images, labels, tf.constant(flags, tf.float32))
        # One fetch for all: on a GPU each one waits for the device.
        total, weight, finite, *raised = told.numpy().tolist()
        everywhere = Flags(*(each > 0 for each in raised))
        return Update(StepLoss(total, weight), finite > 0, everywhere, float(ready))


def make_train_step(
    model: keras.Model,
    optimizer: keras.Optimizer,
    loss: Loss,
    *,
    at_once: int | None = None,
    exchange: Exchange = ALONE,
) -> TrainStep:
    """Return the training step.

    The network is given `at_once` chips at a time or fewer, so that memory limits that number and not the
    batch; None: all of them.
    """

    def gradients_of(images: tf.Tensor, labels: tf.Tensor) -> Sums:
        with tf.GradientTape() as tape:
            found = loss(labels, model(_scaled(images), training=True))
            scaled = optimizer.scale_loss(found.total)
        gradients = tape.gradient(scaled, [variable.value for variable in model.trainable_variables])
        return Sums(gradients, found.total, found.weight)

    def train_step(images: tf.Tensor, labels: tf.Tensor, flags: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        none = Sums([tf.zeros(v.shape) for v in model.trainable_variables], tf.zeros(()), tf.zeros(()))
        own = _in_parts(gradients_of, none, images, labels, at_once)
        ready = _moment(own)
        summed, raised = sum_step(own, flags, exchange)
        # A step in which no rank has a labelled pixel must not divide by zero.
        weight = tf.where(summed.weight > 0, summed.weight, 1.0)
        gradients = [gradient / weight for gradient in summed.gradients]
        finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(gradient)) for gradient in gradients])
        optimizer.apply(gradients, model.trainable_variables)
        numbers = tf.stack([summed.loss, summed.weight, tf.cast(finite, tf.float32)])
        return tf.concat([numbers, raised], axis=0), ready

    return TrainStep(tf.function(train_step, **COMPILED))


def make_look_step(model: keras.Model, loss: Loss) -> LookStep:
    """Return the step that gives this rank's loss and classes; no collective."""

    def look_step(images: tf.Tensor, labels: tf.Tensor) -> Look:
        probabilities = model(_scaled(images), training=False)
        found = loss(labels, probabilities)
        predicted = tf.cast(tf.argmax(probabilities, axis=-1), tf.uint8)
        return Look(StepLoss(found.total, found.weight), predicted)

    compiled: LookStep = tf.function(look_step, **COMPILED)
    return compiled


def seed_dropout(model: keras.Model, *, seed: int, epoch: int, rank: int, passes: int = 0) -> None:
    """Set every dropout layer's random numbers to where they stand after `passes` batches of an epoch.

    Ranks drop different units, and an epoch drops the same ones whether or not the training was resumed.
    """
    found = [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    for place, layer in enumerate(found):
        if layer.rate == 0:  # has no random numbers
            continue
        state = layer.seed_generator.state
        numbers = np.random.SeedSequence([seed, epoch, rank, place]).generate_state(2, np.uint32)
        # Half the range: the variable's type is unsigned on some backends and signed on others.
        start = (numbers >> 1).astype(state.dtype)
        # Keras counts the batches in the second number.
        start[1] += passes
        state.assign(start)


def _in_parts(
    work: Callable[[tf.Tensor, tf.Tensor], Sums],
    none: Sums,
    images: tf.Tensor,
    labels: tf.Tensor,
    at_once: int | None,
) -> Sums:
    """Add up, from `none`, what `work` finds in parts of a batch, as equal as can be, one after the other."""
    known, count = images.shape[0], tf.shape(images)[0]
    if known and known <= (at_once or known):
        return work(images, labels)
    parts = -(-count // at_once) if at_once else tf.minimum(count, 1)

    def add(part: tf.Tensor, before: Sums) -> tuple[tf.Tensor, Sums]:
        here = slice(count * part // parts, count * (part + 1) // parts)
        return part + 1, tf.nest.map_structure(tf.add, before, work(images[here], labels[here]))

    start = tf.constant(0), none
    # One at a time: the point is to hold the activations of one part only.
    _, total = tf.while_loop(lambda part, _: part < parts, add, start, parallel_iterations=1)
    return Sums(*total)


def _scaled(images: tf.Tensor) -> tf.Tensor:
    """Return what the network sees, float32 0..1: levels come as u8, a quarter of the bytes to a GPU."""
    if images.dtype != tf.uint8:
        return images
    # Looked up, because TensorFlow makes a division by a constant a product with its inverse: other bits.
    return tf.gather(np.arange(256, dtype=np.float32) / np.float32(255), tf.cast(images, tf.int32))


def _moment(own: Sums) -> tf.Tensor:
    """Return the time at which a rank's sums are there."""
    # The first layer's gradient is the last to be made. On a GPU only a copy of it to the host waits for it.
    with tf.device("CPU:0"), tf.control_dependencies([tf.identity(own.gradients[0])]):
        return tf.timestamp()
