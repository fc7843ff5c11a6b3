"""A network swept over a picture from top to bottom: hardly a row is computed twice, and nothing differs.

Windows need margins as wide as the network sees, which are computed and thrown away: six tenths of 512 pixels
with 96 around. Here the picture comes in bands, and each layer keeps those last rows of a band that it needs
with the next. So it is behind the one before it by half its kernel, and the probabilities are `lag` rows
behind the picture. All bands have one size, and TensorFlow plans its work once.

Beyond the picture every layer sees zeros, as where Keras pads. So of a band that reaches over the picture's
top or bottom a layer works out the rows inside alone, and nothing of one that decides no wanted row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import count
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
Blank = tuple[tuple[int, ...], str]
"""Shape and type of values."""


class _Kept:
    """What layers keep from one band for the next, rows and whole bands; and which rows they work out now."""

    def __init__(self, rows: list[Tensor], bands: list[Tensor], spans: list[range] | None) -> None:
        self.rows, self.bands, self.spans = list(rows), list(bands), spans

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

    def within(self, number: int, blank: Blank, work: Callable[[int, int], Tensor]) -> Tensor:
        """Return what a layer works out, from a first row to before a last one, and zeros around it."""
        (_, rows, *_), _ = blank
        span = range(rows) if self.spans is None else self.spans[number]
        if not span:
            return tf.zeros(*blank)
        found = work(span.start, span.stop)
        if len(span) == rows:
            return found
        return tf.pad(found, [[0, 0], [span.start, rows - span.stop], [0, 0], [0, 0]])


def _rows(values: Tensor, start: int, stop: int) -> Tensor:
    """Return rows of values, from `start` to before `stop`."""
    if (start, stop) == (0, values.shape[1]):
        return values
    # Of the first dimension a part is no copy.
    part = tf.reshape(values, values.shape[1:])[start:stop]
    return tf.reshape(part, (1, stop - start, *values.shape[2:]))


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


def _last_uses(layers: list[keras.Layer]) -> list[list[int]]:
    """Return of each layer which tensors, by their id, no layer after it takes."""
    last = {id(each): number for number, layer in enumerate(layers) for each in sources(layer)}
    return [[each for each in last if last[each] == number] for number in range(len(layers))]


class Sweep:
    """A network ready to be swept over pictures of one width."""

    def __init__(self, network: keras.Model, *, rows: int, width: int) -> None:
        """Plan a sweep in bands of `rows` x `width` pixels, multiples of the network's cells.

        ValueError for a network with layers of another kind than training/network/reach.py knows.
        """
        self._rows, self._width, self._channels = rows, width, network.input.shape[-1]
        self._input, self._output = id(network.input), id(network.output)
        self._layers = [each for each in network.layers if not isinstance(each, keras.layers.InputLayer)]
        self._empty: list[Blank] = []
        self._waits: list[tuple[int, Blank]] = []
        self._operations: list[tuple[int, Operation]] = []
        self._spanned: list[int] = []
        # Of each tensor: rows that it is behind, in its own, and picture pixels from one to the next.
        self._lags = {self._input: (0, 1)}
        self._extra = _extra_rows(network, rows)
        for layer in self._layers:
            self._operations.append((id(layer.output), self._operation(layer)))
        self._spent = _last_uses(self._layers)
        self.lag = self._lags[self._output][0]
        self._step = tf.function(self._graph, jit_compile=False, autograph=False)

    def __call__(
        self, bands: Iterable[NDArray[np.float32]], *, first: int, height: int, wanted: range
    ) -> Iterator[NDArray[np.float32]]:
        """Yield the probabilities, (n, width, classes), of the wanted rows of a picture of `height` rows.

        `bands`, f32 (rows, width, channels), come from row `first` on, a multiple of `rows`; the last one
        may be lower, and rows beyond the picture do not count. Above, below and beside the picture the
        network sees zeros, as where Keras pads. What is said of a row is the same, bit by bit, whatever rows
        are wanted with it. ValueError where rows that decide the wanted ones do not come.
        """
        needed = self._needed(wanted)
        asked = range(max(0, needed[self._input].start), min(height, needed[self._input].stop))
        if asked.start < first:
            raise ValueError(f"bands begin at row {first}, and row {asked.start} is needed")
        kept = [tf.zeros(*each) for each in self._empty]
        queues = [[tf.zeros(*each)] * waiting for waiting, each in self._waits]
        given, nothing = iter(bands), np.zeros((0, self._width, self._channels), np.float32)
        for top in count(first, self._rows):
            band = next(given, nothing)[: max(0, height - top)]
            if len(band) < self._rows:
                if top + len(band) < asked.stop:
                    raise ValueError(f"bands end at row {top + len(band)}, and {asked.stop} rows are needed")
                band = np.pad(band, [(0, self._rows - len(band)), (0, 0), (0, 0)])
            spans = self._spans(top, height, needed)
            heads = [queue[0] for queue in queues]
            # At the border each band is another one, and planning them would take longer than doing them.
            step = self._step if spans is None else self._graph
            found, kept, tails = step(tf.constant(band[np.newaxis]), kept, heads, spans)
            for queue, tail in zip(queues, tails, strict=True):
                queue.append(tail)
                del queue[0]
            start = top - self.lag
            if start + self._rows > wanted.start:
                part = found[0, max(0, wanted.start - start) : wanted.stop - start]
                yield np.asarray(part, np.float32)
            if start + self._rows >= wanted.stop:
                return

    def _needed(self, wanted: range) -> dict[int, range]:
        """Return which rows of each layer's values, by their id, decide the wanted ones of the output."""
        found = {self._output: wanted}
        for layer in reversed(self._layers):
            kind, rows = kind_of(layer), found[id(layer.output)]
            start = (rows.start - kind.side) * kind.shrink // kind.grow
            stop = -(-(rows.stop + kind.side) * kind.shrink // kind.grow)
            for each in map(id, sources(layer)):
                other = found.get(each, range(start, stop))
                found[each] = range(min(start, other.start), max(stop, other.stop))
        return found

    def _spans(self, top: int, height: int, needed: dict[int, range]) -> list[range] | None:
        """Return which rows of its band each layer works out; None: all do all.

        `top` is the band's first row in the picture. They are those in the picture, or none where none
        decides anything; so how many they are does not depend on what else is wanted, and neither does the
        order in which sums are added up.
        """
        found, whole = [], True
        for place in self._spanned:
            (lag, step), extra = self._lags[place], self._extra[place]
            start, rows = top // step - lag - extra, self._rows // step + extra
            decides = start < needed[place].stop and needed[place].start < start + rows
            inside = (min(max(0, edge - start), rows) for edge in (0, height // step))
            found.append(range(*inside) if decides else range(0))
            whole = whole and len(found[-1]) == rows
        return None if whole else found

    def _graph(
        self, band: Tensor, rows: list[Tensor], bands: list[Tensor], spans: list[range] | None
    ) -> tuple[Tensor, ...]:
        values, kept = {self._input: band}, _Kept(rows, bands, spans)
        for (place, operation), spent in zip(self._operations, self._spent, strict=True):
            values[place] = operation(values, kept)
            for each in spent:
                del values[each]
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
                _rows(kept.behind(values[first], place), 0, self._rows // step), size, size, "VALID"
            )
        place = self._keep(taken[0], extra // kind.grow - had)
        if kind.name == "grow":
            return self._grow(layer, kind.grow, place)
        return lambda values, kept: layer(kept.behind(values[first], place), training=False)

    def _convolve(self, layer: keras.layers.Conv2D, side: int, place: int | None) -> Operation:
        source, number, blank = id(layer.input), *self._span(layer)

        def convolve(part: Tensor) -> Tensor:
            kernel = tf.cast(layer.kernel, layer.compute_dtype)
            found = tf.nn.conv2d(part, kernel, 1, [[0, 0], [0, 0], [side, side], [0, 0]])
            if layer.use_bias:
                found = tf.nn.bias_add(found, tf.cast(layer.bias, layer.compute_dtype))
            return layer.activation(found)

        (_, _, columns, _), _ = blank
        taken = tf.TensorSpec((1, None, columns, layer.input.shape[-1]), layer.compute_dtype)
        # By itself, too, it is planned, once for any number of rows: what follows the sums is done with them.
        alone = tf.function(convolve, jit_compile=False, autograph=False).get_concrete_function(taken)

        def operation(values: dict[int, Tensor], kept: _Kept) -> Tensor:
            full = tf.cast(kept.behind(values[source], place), layer.compute_dtype)
            work = convolve if kept.spans is None else alone
            return kept.within(number, blank, lambda start, stop: work(_rows(full, start, stop + 2 * side)))

        return operation

    def _grow(self, layer: keras.layers.Conv2DTranspose, times: int, place: int | None) -> Operation:
        source, number, blank = id(layer.input), *self._span(layer)

        def operation(values: dict[int, Tensor], kept: _Kept) -> Tensor:
            full = kept.behind(values[source], place)
            return kept.within(
                number,
                blank,
                # Pictures are whole cells high, so no value grows over the border.
                lambda start, stop: layer(_rows(full, start // times, stop // times), training=False),
            )

        return operation

    def _span(self, layer: keras.Layer) -> tuple[int, Blank]:
        """Return a new place among the spans, and what the layer's values are."""
        out = layer.output
        self._spanned.append(id(out))
        rows = self._rows // self._lags[id(out)][1] + self._extra[id(out)]
        return len(self._spanned) - 1, self._blank(out, rows)

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
            return tf.concat([_rows(each, 0, rows + extra) for each in seen], axis=-1)

        return operation

    def _keep(self, tensor: keras.KerasTensor, rows: int) -> int | None:
        if not rows:
            return None
        self._empty.append(self._blank(tensor, rows))
        return len(self._empty) - 1

    def _blank(self, tensor: keras.KerasTensor, rows: int) -> Blank:
        """Return shape and type of so many rows of a layer's values."""
        return (1, rows, self._width // self._lags[id(tensor)][1], tensor.shape[-1]), tensor.dtype
