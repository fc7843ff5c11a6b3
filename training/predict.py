"""A trained model as a function from 8-bit pictures to class probabilities, for Spark workers and alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from labeling.errors import ModelError
from training.folder.card import ModelCard, read_model_card
from training.folder.network import faulty, open_network
from training.network.inputs import network_input
from training.network.sound import output_fault
from training.settings.task import CLASSES, Task

if TYPE_CHECKING:
    import keras


@dataclass
class Predictor:
    """A model folder's network, read on first use; pickles as folder and card, so it crosses to workers."""

    folder: Path
    card: ModelCard
    batch: int = 2
    """Pictures the network is given at once."""
    threads: int | None = None
    """Threads TensorFlow may use in this process; None: all cores."""
    _network: keras.Model | None = field(default=None, repr=False, compare=False)

    @classmethod
    def load(
        cls, folder: Path, *, batch: int = 2, threads: int | None = None, task: Task | None = None
    ) -> Self:
        """Read and check the card of a model folder; ModelError when it is no finished model for `task`."""
        if batch < 1:
            raise ValueError(f"batch must be at least 1, not {batch}")
        return cls(folder.absolute(), read_model_card(folder, task), batch, threads)

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

    def _check_size(self, height: int, width: int) -> None:
        multiple = self.card.multiple
        if height % multiple or width % multiple or 0 in (height, width):
            raise ModelError(
                f"the model in {self.folder} takes pictures whose sides are multiples of {multiple} pixels, "
                f"not {height} rows x {width} columns; choose a window size that is one"
            )

    def _run(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._network is None:
            self._network = _open_network(self.folder, self.card, self.threads)
        found = np.asarray(self._network.predict_on_batch(values), np.float32)
        sides = values.shape[1:3] if self.card.task == "segment" else (1, 1)
        fault = output_fault(found, (len(values), *sides, len(CLASSES[self.card.task])))
        if fault is not None:
            raise faulty(self.folder, fault)
        return found

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_network": None}


def _open_network(folder: Path, card: ModelCard, threads: int | None) -> keras.Model:
    # Imported here, as it loads TensorFlow.
    from training.ranks.device import limit_threads, share_gpus

    limit_threads(threads)
    share_gpus()
    network = open_network(folder, card)
    # Compiling with XLA costs more than it gains over one pass of a map.
    network.jit_compile = False
    return network
