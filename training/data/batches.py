"""Batches for one rank: chips read, turned and stacked in threads while the network works."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, Self, TypeVar

import cv2
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from labeling.chips.card import ChipCard
from labeling.chips.tones import CutPoints
from labeling.errors import ConfigError
from training.data.augment import POSES, Changes, augmented
from training.data.sharding import EMPTY, Indices
from training.data.store import Chip, ChipStore
from training.network.inputs import picture_levels, unit_columns
from training.settings.config import Channels, Scaling, TrainConfig

AHEAD = 2
"""Batches made ready before they are asked for, besides one for each further thread, within MOST."""

MOST = 256 << 20
"""Bytes of the batches of further threads, which all wait in memory; an update of many chips is a batch."""

T = TypeVar("T")

Tensors = tuple[tf.Tensor, tf.Tensor]
"""Images and labels of a Batch."""


class Batch(NamedTuple):
    """What one rank works on in one step."""

    images: NDArray[np.uint8] | NDArray[np.float32]
    """Network input (B, size, size, C): levels, u8, which the step divides by 255; with scaling "column-l2",
    float32 0..1."""
    labels: NDArray[np.uint8]
    """Class codes (B, size, size), or kinds (B, 1, 1)."""


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


@dataclass
class Trouble:
    """Where the thread that reads leaves its error, for the rank to tell the others at the next step."""

    error: ConfigError | None = None


def make_batch(
    store: ChipStore, indices: Indices, channels: Channels, scaling: Scaling, turning: Turning | None
) -> Batch:
    """Read and stack the chips at `indices` (B,); EMPTY gives an empty one, `turning` None changes none."""
    size = store.card.size
    images = np.empty((len(indices), size, size, 3), np.uint8)
    labels = np.empty((len(indices), *store.label_shape), np.uint8)
    for place, index in enumerate(indices):
        _show(store, int(index), turning, Chip(images[place], labels[place]))
    levels = picture_levels(images, channels)
    return Batch(levels if scaling == "255" else unit_columns(levels), labels)


def batches(
    store: ChipStore,
    plan: Indices,
    *,
    channels: Channels,
    scaling: Scaling,
    trouble: Trouble,
    turning: Turning | None = None,
    threads: int = 1,
) -> Iterator[Tensors]:
    """Yield the batches of `plan` (steps, B), as tensors, made ahead of time in threads.

    Each of so many `threads` makes whole batches: they wait for each other only where Python makes them. When
    a chip cannot be read, the error goes to `trouble` and the rest of the batches are empty: a rank that left
    alone would keep the others waiting.
    """
    nothing = np.full(plan.shape[1], EMPTY)

    def tensors(indices: Indices) -> Tensors:
        batch = make_batch(store, indices, channels, scaling, turning)
        return tf.convert_to_tensor(batch.images), tf.convert_to_tensor(batch.labels)

    def made(indices: Indices) -> Tensors | None:
        try:
            return None if trouble.error else tensors(indices)
        except ConfigError as error:
            trouble.error = error
            return None

    cv2.setNumThreads(1)  # ours take whole batches
    failed = False
    levels = 4 if scaling != "255" else 1
    size = plan.shape[1] * (levels * store.chip_bytes[0] + store.chip_bytes[1])
    for found in _ahead(made, plan, 1 + min(threads - 1, MOST // max(1, size))):
        failed = failed or found is None
        yield tensors(nothing) if failed or found is None else found


def _ahead(work: Callable[[Indices], T], plan: Indices, threads: int) -> Iterator[T]:
    """Yield `work` of each row of a plan in its order, AHEAD of which are done before they are asked for.

    A tf.data.Dataset of a generator does so too, and keeps something of each as long as the process lives:
    a training makes two an epoch.
    """
    with ThreadPoolExecutor(threads) as pool:
        try:
            rows = iter(plan)
            done = deque(pool.submit(work, row) for row in islice(rows, AHEAD + threads - 1))
            while done:
                found = done.popleft().result()
                done.extend(pool.submit(work, row) for row in islice(rows, 1))
                yield found
        finally:
            pool.shutdown(cancel_futures=True)


def _show(store: ChipStore, index: int, turning: Turning | None, into: Chip) -> None:
    chip = store.empty() if index == EMPTY else store[index]
    if turning is None or index == EMPTY:
        into.image[:], into.label[:] = chip
    else:
        augmented(chip, index=index, out=into, **turning._asdict())
