"""A network swept over a picture from top to bottom: hardly a row is computed twice, and nothing differs.

Windows need margins as wide as the network sees, which are computed and thrown away: six tenths of 512 pixels
with 96 around. Here the picture comes in bands, and each layer keeps those last rows of a band that it needs
with the next. So it is behind the one before it by half its kernel, and the probabilities are `lag` rows
behind the picture. All bands have one size, and TensorFlow plans its work once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from training.network.reach import kind_of, sources

_HIGH: Final = 32
"""Rows of a layer's band from which a few are worked out again, rather than all copied to lie below them."""

_AGAIN: Final = {
    ("convolve", "convolve"), ("convolve", "pass"), ("pass", "convolve"), ("join", "convolve"),
    ("grow", "join"),
}  # fmt: skip
"""Kinds of a layer, and of the one after it, of which the first works out a few rows again for the second."""

Tensor = Any
Operation = Callable[[dict[int, Tensor], "_Kept"], Tensor]


class _Kept:
    """What layers keep from one band for the next: rows, and whole bands."""

    def __init__(self, rows: list[Tensor], bands: list[Tensor]) -> None:
        self.rows, self.bands = list(rows), list(bands)

    def behind(self, values: Tensor, place: int | None) -> Tensor:
        """Return values with the rows before them that were kept in a place, and keep their last ones."""
        if place is None:
            return values
        kept = self.rows[place].shape[1]
        found = tf.concat([self.rows[place], values], axis=1)
        self.rows[place] = found[:, -kept:]
        return found

    def late(self, values: Tensor, place: int | None) -> Tensor:
        """Return the band that was kept in a place, and keep this one."""
        if place is None:
            return values
        values, self.bands[place] = self.bands[place], values
        return values


def _first(values: Tensor, rows: int) -> Tensor:
    """Return the first rows of values."""
    if values.shape[1] == rows:
        return values
    # Of the first dimension a part is no copy.
    return tf.reshape(tf.reshape(values, values.shape[1:])[:rows], (1, rows, *values.shape[2:]))


def _extra_rows(network: keras.Model, rows: int) -> dict[int, int]:
    """Return how many rows above those of a band are worked out once more, for each tensor, by its id.

    What the next layer needs of them could be kept, but then all of a band is copied to lie below it. Where a
    band is high that costs more than a few rows again, if one layer alone asks for them.
    """
    working = [layer for layer in network.layers if not isinstance(layer, keras.layers.InputLayer)]
    uses = Counter(id(each) for layer in working for each in sources(layer))
    made, steps = {}, {id(network.input): 1}
    for layer in working:
        made[id(layer.output)] = kind = kind_of(layer)
        steps[id(layer.output)] = steps[id(sources(layer)[0])] * kind.shrink // kind.grow
    found = dict.fromkeys(steps, 0)
    for layer in reversed(working):  # so what is asked of a layer is known before what it asks for
        kind = kind_of(layer)
        for each in map(id, sources(layer)):
            again = each in made and (made[each].name, kind.name) in _AGAIN
            if again and uses[each] == 1 and rows // steps[each] >= _HIGH:
                found[each] = found[id(layer.output)] + 2 * kind.side
    return found


class Sweep:
    """A network ready to be swept over pictures of one width."""

    def __init__(self, network: keras.Model, *, rows: int, width: int) -> None:
        """Plan a sweep in bands of `rows` x `width` pixels, multiples of the network's cells.

        ValueError for a network with layers of another kind than training/network/reach.py knows.
        """
        self._rows, self._width = rows, width
        self._input, self._output = id(network.input), id(network.output)
        self._empty: list[tuple[tuple[int, ...], str]] = []
        self._waits: list[tuple[int, tuple[tuple[int, ...], str]]] = []
        self._operations: list[tuple[int, Operation]] = []
        # Of each tensor: rows that it is behind, in its own, and picture pixels from one to the next.
        self._lags = {self._input: (0, 1)}
        self._extra = _extra_rows(network, rows)
        for layer in network.layers:
            if not isinstance(layer, keras.layers.InputLayer):
                self._operations.append((id(layer.output), self._operation(layer)))
        self.lag = self._lags[self._output][0]
        self._step = tf.function(self._graph, jit_compile=False, autograph=False)
        self.restart()

    def restart(self) -> None:
        """Forget what was seen: the next band is the first of a picture."""
        self._kept = [tf.zeros(*each) for each in self._empty]
        self._queues = [[tf.zeros(*each)] * count for count, each in self._waits]

    def __call__(self, band: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probabilities, (rows, width, classes), of the rows `lag` above those of a band.

        `band`, f32 (rows, width, channels), follows the one before. What is above the first band, and beside
        all of them, is unknown, so values that lie within the network's reach of there mean nothing.
        """
        heads = [queue[0] for queue in self._queues]
        found, self._kept, tails = self._step(tf.constant(band[np.newaxis]), self._kept, heads)
        for queue, tail in zip(self._queues, tails, strict=True):
            queue.append(tail)
            del queue[0]
        return np.asarray(found[0], np.float32)

    def _graph(self, band: Tensor, rows: list[Tensor], bands: list[Tensor]) -> tuple[Tensor, ...]:
        values, kept = {self._input: band}, _Kept(rows, bands)
        for place, operation in self._operations:
            values[place] = operation(values, kept)
        return values[self._output], kept.rows, kept.bands

    # --- plans, one a layer ---

    def _operation(self, layer: keras.Layer) -> Operation:
        kind, taken = kind_of(layer), sources(layer)
        first, out = id(taken[0]), id(layer.output)
        lag, step = self._lags[first]
        if kind.name == "join":
            return self._join(layer)
        self._lags[out] = -(-lag // kind.shrink) * kind.grow + kind.side, step * kind.shrink // kind.grow
        extra, had = self._extra[out], self._extra[first]
        if kind.name == "convolve":
            return self._convolve(layer, kind.side, self._keep(taken[0], extra + 2 * kind.side - had))
        if kind.name == "pool":
            size = kind.shrink
            place = self._keep(taken[0], -lag % size)  # cells of rows begin at multiples of their size
            return lambda values, kept: tf.nn.max_pool2d(
                _first(kept.behind(values[first], place), self._rows // step), size, size, "VALID"
            )
        place = self._keep(taken[0], extra // kind.grow - had)
        return lambda values, kept: layer(kept.behind(values[first], place), training=False)

    def _convolve(self, layer: keras.layers.Conv2D, side: int, place: int | None) -> Operation:
        source = id(layer.input)

        def operation(values: dict[int, Tensor], kept: _Kept) -> Tensor:
            full = tf.cast(kept.behind(values[source], place), layer.compute_dtype)
            kernel = tf.cast(layer.kernel, layer.compute_dtype)
            found = tf.nn.conv2d(full, kernel, 1, [[0, 0], [0, 0], [side, side], [0, 0]])
            if layer.use_bias:
                found = tf.nn.bias_add(found, tf.cast(layer.bias, layer.compute_dtype))
            return layer.activation(found)

        return operation

    def _join(self, layer: keras.layers.Concatenate) -> Operation:
        taken = sources(layer)
        last, step = max(self._lags[id(each)] for each in taken)
        rows, extra = self._rows // step, self._extra[id(layer.output)]
        parts = []
        for each in taken:
            bands, more = divmod(last - self._lags[id(each)][0], rows)
            more += extra - self._extra[id(each)]
            wait = None
            if bands:
                self._waits.append((bands, self._blank(each, rows)))
                wait = len(self._waits) - 1
            parts.append((id(each), wait, self._keep(each, more)))
        self._lags[id(layer.output)] = last, step

        def operation(values: dict[int, Tensor], kept: _Kept) -> Tensor:
            seen = (kept.behind(kept.late(values[p], w), place) for p, w, place in parts)
            return tf.concat([_first(each, rows + extra) for each in seen], axis=-1)

        return operation

    def _keep(self, tensor: keras.KerasTensor, rows: int) -> int | None:
        if not rows:
            return None
        self._empty.append(self._blank(tensor, rows))
        return len(self._empty) - 1

    def _blank(self, tensor: keras.KerasTensor, rows: int) -> tuple[tuple[int, ...], str]:
        """Return shape and type of so many rows of a layer's values."""
        return (1, rows, self._width // self._lags[id(tensor)][1], tensor.shape[-1]), tensor.dtype
