"""How far a network looks: what of a picture decides a pixel of its output, from its layers alone."""

from __future__ import annotations

from typing import Literal, NamedTuple

import keras
from keras import layers


class Kind(NamedTuple):
    """What a layer does with rows, and with columns alike."""

    name: Literal["pass", "convolve", "pool", "grow", "join"]
    side: int = 0
    """Rows above a value's own that it looks at, and as many below."""
    shrink: int = 1
    """Rows that become one."""
    grow: int = 1
    """Rows that one becomes."""


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
    _, before, after = _sights(network)[id(network.output)]
    return max(before, after)


def cell(network: keras.Model) -> int:
    """Return how many pixels of a picture one value of the network's coarsest layer stands for, a side."""
    return max(sight.step for sight in _sights(network).values())


def _sights(network: keras.Model) -> dict[int, Sight]:
    """Return what each layer's output sees, by its id."""
    sights = {id(network.input): Sight(1, 0, 0)}
    for layer in network.layers:
        if not isinstance(layer, layers.InputLayer):
            sights[id(layer.output)] = _through(kind_of(layer), [sights[id(each)] for each in sources(layer)])
    return sights


def sources(layer: keras.Layer) -> list[keras.KerasTensor]:
    """Return what a layer of a network takes."""
    return layer.input if isinstance(layer.input, list) else [layer.input]


def _through(kind: Kind, seen: list[Sight]) -> Sight:
    step = seen[0].step
    finer = step // kind.grow
    before = max(sight.before for sight in seen) + kind.side * step + (step - finer)
    after = max(sight.after for sight in seen) + kind.side * step + (kind.shrink - 1) * step
    return Sight(finer * kind.shrink, before, after)


def kind_of(layer: keras.Layer) -> Kind:
    """Return what a layer does; ValueError for one of which that is not known."""
    # A transposed convolution is a convolution to Python, so it is asked for first.
    if isinstance(layer, layers.Conv2DTranspose):
        known, kind = layer.kernel_size == layer.strides == (2, 2), Kind("grow", grow=2)
    elif isinstance(layer, layers.Conv2D):
        height, width = layer.kernel_size
        known = height == width and height % 2 == 1 and (layer.padding == "same" or height == 1)
        known = known and layer.strides == layer.dilation_rate == (1, 1) and layer.groups == 1
        kind = Kind("convolve", side=height // 2)
    elif isinstance(layer, layers.MaxPooling2D):
        known, kind = layer.pool_size == layer.strides == (2, 2), Kind("pool", shrink=2)
    elif isinstance(layer, layers.Concatenate):
        known, kind = layer.axis in (-1, 3), Kind("join")
    else:
        known, kind = isinstance(layer, layers.Dropout), Kind("pass")
    if not known:
        raise ValueError(f"layer {layer.name} ({type(layer).__name__}) is of a kind whose reach is not known")
    return kind
