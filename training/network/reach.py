"""How far a network looks: what of a picture decides a pixel of its output, from its layers alone."""

from __future__ import annotations

from typing import NamedTuple

import keras
from keras import layers


class Sight(NamedTuple):
    """Of a layer's output, in pixels of the picture."""

    step: int
    """From one value to the next."""
    before: int
    """How far above (left of) its own pixel a value looks."""
    after: int
    """How far below (right of) it."""


def reach(network: keras.Model) -> int:
    """Return beyond how many pixels on any side nothing changes a pixel of the output.

    The picture is walked through layer by layer: a convolution sees its neighbours, pooling and growing those
    in their cell. Exact for what networks of this project are made of; ValueError for another layer.
    """
    sights = {id(network.input): Sight(1, 0, 0)}
    for layer in network.layers:
        if not isinstance(layer, layers.InputLayer):
            sights[id(layer.output)] = _through(layer, [sights[id(each)] for each in sources(layer)])
    _, before, after = sights[id(network.output)]
    return max(before, after)


def sources(layer: keras.Layer) -> list[keras.KerasTensor]:
    """Return what a layer of a network takes."""
    return layer.input if isinstance(layer.input, list) else [layer.input]


def _through(layer: keras.Layer, seen: list[Sight]) -> Sight:
    step, before, after = seen[0]
    kind = kind_of(layer)
    if kind == "join":
        return Sight(step, max(sight.before for sight in seen), max(sight.after for sight in seen))
    if kind == "convolve":
        side = layer.kernel_size[0] // 2 * step
        return Sight(step, before + side, after + side)
    if kind == "pool":
        return Sight(2 * step, before, after + step)
    if kind == "grow":
        return Sight(step // 2, before + step // 2, after)
    return seen[0]


def kind_of(layer: keras.Layer) -> str:
    """Return what a layer does with rows and columns: pass, convolve, pool, grow or join.

    ValueError for a layer of which that is not known.
    """
    # A transposed convolution is a convolution to Python, so it is asked for first.
    if isinstance(layer, layers.Conv2DTranspose):
        known = layer.kernel_size == layer.strides == (2, 2)
        kind = "grow"
    elif isinstance(layer, layers.Conv2D):
        height, width = layer.kernel_size
        known = height == width and height % 2 == 1 and (layer.padding == "same" or height == 1)
        known = known and layer.strides == layer.dilation_rate == (1, 1) and layer.groups == 1
        kind = "convolve"
    elif isinstance(layer, layers.MaxPooling2D):
        known, kind = layer.pool_size == layer.strides == (2, 2), "pool"
    elif isinstance(layer, layers.Concatenate):
        known, kind = layer.axis in (-1, 3), "join"
    else:
        known, kind = isinstance(layer, layers.Dropout), "pass"
    if not known:
        raise ValueError(f"layer {layer.name} ({type(layer).__name__}) is of a kind whose reach is not known")
    return kind
