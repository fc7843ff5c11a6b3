"""One batch: chips read, turned and laid side by side.

No TensorFlow, so that a process which makes nothing but batches starts soon and stays small.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from labeling.chips.card import ChipCard
from labeling.chips.tones import CutPoints
from training.data.augment import POSES, Changes, augmented
from training.data.sharding import EMPTY, Indices
from training.data.store import Chip, ChipStore
from training.network.inputs import CHANNEL_COUNT, picture_levels, unit_columns
from training.settings.config import Channels, Scaling, TrainConfig

ALIGNMENT: Final = 64
"""Bytes: arrays that begin at a multiple of them TensorFlow's vector code can take as they lie."""


class Batch(NamedTuple):
    """What one rank works on in one step."""

    images: NDArray[np.uint8] | NDArray[np.float32]
    """Network input (B, size, size, C): levels, u8, which the step divides by 255; with scaling "column-l2",
    float32 0..1."""
    labels: NDArray[np.uint8]
    """Class codes (B, size, size), or kinds (B, 1, 1)."""

    def part(self, first: int, count: int) -> Batch:
        """Return so many chips of it as a view."""
        return Batch(self.images[first : first + count], self.labels[first : first + count])


class Turning(NamedTuple):
    """Names the random poses and skies of an epoch."""

    seed: int
    epoch: int
    changes: Changes = POSES

    @classmethod
    def of(cls, config: TrainConfig, epoch: int, card: ChipCard) -> Self:
        """Return what is done to the training chips, of this card, in an epoch (from 1)."""
        cuts = CutPoints(*card.cut_points) if card.cut_points else None
        changes = Changes(config.augment, config.skies, config.tones, config.brightness, cuts)
        return cls(config.seed, epoch, changes)


class View(NamedTuple):
    """How chips are shown to the network."""

    channels: Channels
    scaling: Scaling
    turning: Turning | None = None
    """None changes none."""


class Layout(NamedTuple):
    """How a batch lies in memory: images, and behind them labels."""

    images: tuple[int, ...]
    depth: type[np.uint8] | type[np.float32]
    labels: tuple[int, ...]

    @classmethod
    def of(cls, store: ChipStore, count: int, view: View) -> Self:
        """Return that of so many chips."""
        size = store.card.size
        images = (count, size, size, CHANNEL_COUNT[view.channels])
        depth = np.uint8 if view.scaling == "255" else np.float32
        return cls(images, depth, (count, *store.label_shape))

    @property
    def size(self) -> int:
        """Bytes it takes."""
        return self._labels_from + math.prod(self.labels)

    @property
    def _image_bytes(self) -> int:
        return math.prod(self.images) * np.dtype(self.depth).itemsize

    @property
    def _labels_from(self) -> int:
        return -(-self._image_bytes // ALIGNMENT) * ALIGNMENT

    def over(self, memory: NDArray[np.uint8]) -> Batch:
        """Return the batch that lies in memory (at least `size`), as views of it."""
        images: NDArray[Any] = memory[: self._image_bytes].view(self.depth)
        labels = memory[self._labels_from : self.size]
        return Batch(images.reshape(self.images), labels.reshape(self.labels))

    def empty(self) -> Batch:
        """Return a batch in memory of its own, not yet written."""
        memory = np.empty(self.size + ALIGNMENT, np.uint8)
        return self.over(memory[-memory.ctypes.data % ALIGNMENT :])


def make_batch(store: ChipStore, indices: Indices, view: View, into: Batch | None = None) -> Batch:
    """Read and stack the chips at `indices` (B,), in the arrays of `into` if given; EMPTY gives an empty one.

    ConfigError when a chip cannot be read.
    """
    made = into or Layout.of(store, len(indices), view).empty()
    as_they_are = view.channels == "rgb" and view.scaling == "255"
    size = store.card.size
    pictures = (
        np.asarray(made.images, np.uint8)
        if as_they_are
        else np.empty((len(indices), size, size, 3), np.uint8)
    )
    for place, index in enumerate(indices):
        _show(store, int(index), view.turning, Chip(pictures[place], made.labels[place]))
    if not as_they_are:
        levels = picture_levels(pictures, view.channels)
        made.images[:] = levels if view.scaling == "255" else unit_columns(levels)
    return made


def _show(store: ChipStore, index: int, turning: Turning | None, into: Chip) -> None:
    chip = store.empty() if index == EMPTY else store[index]
    if turning is None or index == EMPTY:
        into.image[:], into.label[:] = chip
    else:
        augmented(chip, index=index, out=into, **turning._asdict())
