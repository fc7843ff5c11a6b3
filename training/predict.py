"""A trained model as a function from 8-bit pictures to class probabilities, for Spark workers and alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from labeling.errors import ConfigError, ModelError
from training.folder.card import ModelCard, read_model_card
from training.folder.network import faulty, open_network
from training.network.inputs import network_input
from training.network.sound import output_fault
from training.settings.config import Precision
from training.settings.task import CLASSES, Task

if TYPE_CHECKING:
    import keras

    from training.sweep import Sweep

ROWS: Final = 128
"""Rows of a band of a sweep: what a layer keeps of the one before is little beside it."""

_BASE: Final = 800 << 20
"""Bytes of a worker that holds TensorFlow and a network, and has not begun."""


def band_rows(card: ModelCard) -> int:
    """Return the rows of a band of a sweep by a model."""
    return max(ROWS, card.multiple)


def sweep_columns(card: ModelCard, *, memory: int) -> int:
    """Return how many columns a sweep by a model may have, so that a worker stays within `memory` bytes.

    Of each column a sweep keeps the rows that skipped levels wait for, once more than the network reaches
    down, and works on a band; measured (docs/performance.md), as there is no asking TensorFlow. ConfigError
    where there is no room for the columns around any that would decide them.
    """
    reach = 7 * card.multiple
    column = 16 * (card.width or 16) * (reach + 4 * band_rows(card))
    columns = (int(memory) - _BASE) // column - 2 * reach
    if columns < card.multiple:
        least = _BASE + column * (2 * reach + card.multiple)
        raise ConfigError(
            f"a worker with {memory / 2**30:.1f} GiB (spark.worker_memory) has no room for a network of "
            f"{card.depth} levels and width {card.width}, which takes {math.ceil(least / 2**20)} MiB at "
            "least. Raise spark.worker_memory, with fewer workers at a time if need be (--master local[1])."
        )
    return columns // card.multiple * card.multiple


@dataclass
class Predictor:
    """A model folder's network, read on first use; pickles as folder and card, so it crosses to workers."""

    folder: Path
    card: ModelCard
    batch: int = 2
    """Pictures the network is given at once."""
    threads: int | None = None
    """Threads TensorFlow may use in this process; None: all cores."""
    precision: Precision = "float32"
    """What the network computes in, all but its last layer."""
    _network: keras.Model | None = field(default=None, repr=False, compare=False)
    _last: tuple[int, Sweep] | None = field(default=None, repr=False, compare=False)

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        batch: int = 2,
        threads: int | None = None,
        task: Task | None = None,
        precision: Precision = "float32",
    ) -> Self:
        """Read and check the card of a model folder; ModelError when it is no finished model for `task`."""
        if batch < 1:
            raise ValueError(f"batch must be at least 1, not {batch}")
        return cls(folder.absolute(), read_model_card(folder, task), batch, threads, precision)

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return class probabilities (N, H, W, 3), float32 0..1, of pictures (N, H, W, 3), u8, R, G, B.

        Those of a model that classifies are (N, 1, 1, 5), in the order of labeling.chips.kinds.ChipKind. The
        network always runs `batch` pictures; a short last batch is filled up with black ones. So a picture's
        result does not depend on how many others are asked for with it. Raises ValueError for another type
        or shape, ModelError for a height or width the network cannot halve often enough.
        """
        values = network_input(images, self.card.channels, self.card.scaling)
        count, height, width, _ = values.shape
        self._check_size(height, width)
        probabilities = []
        # Without a picture a black batch tells the shape.
        for start in range(0, max(count, 1), self.batch):
            part = values[start : start + self.batch]
            full = np.zeros((self.batch, *values.shape[1:]), np.float32)
            full[: len(part)] = part
            probabilities.append(self._run(full)[: len(part)])
        return np.concatenate(probabilities)

    @property
    def margin(self) -> int:
        """Pixels around a part of a picture that decide its probabilities, a multiple of the network's cells.

        From the layers of the network, which is read for it; ModelError where one is of an unknown kind.
        """
        from training.network.reach import cell, reach

        try:
            found, own = reach(self._opened()), cell(self._opened())
        except ValueError as error:
            raise faulty(self.folder, f"cannot be swept over scenes: {error}") from None
        if self.card.multiple % own:
            raise faulty(self.folder, f"has cells of {own} pixels, and its card says {self.card.multiple}")
        return -(-found // self.card.multiple) * self.card.multiple

    @property
    def rows(self) -> int:
        """Rows of a band of a sweep."""
        return band_rows(self.card)

    def sweep(
        self, bands: Iterable[NDArray[np.uint8]], *, first: int, height: int, width: int, wanted: range
    ) -> Iterator[NDArray[np.float32]]:
        """Yield class probabilities, (n, width, 3), float32, of the wanted rows of a picture, from their top.

        The picture, of `height` x `width` pixels, multiples of the network's cells, comes in bands, u8 (rows,
        width, 3), R, G, B, from row `first` on, a multiple of `rows`; the last one may be lower, or reach
        beyond the picture. With column-l2 a column is scaled by its part in a band. Around the picture the
        network sees what it sees around chips, zeros in every layer. `margin` rows on both sides of the
        wanted ones decide them, as far as the picture has them: ValueError where some do not come. ModelError
        for a network that is broken.
        """
        values = (network_input(band[np.newaxis], self.card.channels, self.card.scaling)[0] for band in bands)
        for found in self._swept(width)(values, first=first, height=height, wanted=wanted):
            fault = output_fault(found[np.newaxis], (1, len(found), width, len(CLASSES[self.card.task])))
            if fault is not None:
                raise faulty(self.folder, fault)
            yield found

    def _swept(self, width: int) -> Sweep:
        """Return the network ready for pictures of a width; the one for the last width is kept."""
        from training.sweep import Sweep

        if self._last is None or self._last[0] != width:
            self._last = width, Sweep(self._opened(), rows=self.rows, width=width)
        return self._last[1]

    def _check_size(self, height: int, width: int) -> None:
        multiple = self.card.multiple
        if height % multiple or width % multiple or 0 in (height, width):
            raise ModelError(
                f"the model in {self.folder} takes pictures whose sides are multiples of {multiple} pixels, "
                f"not {height} rows x {width} columns; choose a window size that is one"
            )

    def _opened(self) -> keras.Model:
        if self._network is None:
            self._network = _open_network(self.folder, self.card, self.threads, self.precision)
        return self._network

    def _run(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        found = np.asarray(self._opened().predict_on_batch(values), np.float32)
        sides = values.shape[1:3] if self.card.task == "segment" else (1, 1)
        fault = output_fault(found, (len(values), *sides, len(CLASSES[self.card.task])))
        if fault is not None:
            raise faulty(self.folder, fault)
        return found

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_network": None, "_last": None}


def _open_network(folder: Path, card: ModelCard, threads: int | None, precision: Precision) -> keras.Model:
    # Imported here, as it loads TensorFlow.
    from training.network.precision import computing_in
    from training.ranks.device import limit_threads, share_gpus

    limit_threads(threads)
    share_gpus()
    network = open_network(folder, card)
    if precision != "float32":
        network = computing_in(network, precision)
    # Compiling with XLA costs more than it gains over one pass of a map.
    network.jit_compile = False
    return network
