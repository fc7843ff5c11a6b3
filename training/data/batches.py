"""Batches for one rank: chips read, turned and stacked in threads while the network works."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
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
"""Batches made ready before they are asked for."""

AT_ONCE = 4
"""Chips that a thread takes at a time, at most; one by one, batches were made a seventh slower."""

Spread = Callable[[Callable[[int], None], Iterable[int]], Iterable[None]]

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
    store: ChipStore,
    indices: Indices,
    channels: Channels,
    scaling: Scaling,
    turning: Turning | None,
    spread: Spread = map,
    at_once: int = AT_ONCE,
) -> Batch:
    """Read and stack the chips at `indices` (B,); EMPTY gives an empty one, `turning` None changes none.

    `spread` is a map over `at_once` of them at a time, of threads for example.
    """
    count, size = len(indices), store.card.size
    images = np.empty((count, size, size, 3), np.uint8)
    labels = np.empty((count, *store.label_shape), np.uint8)

    def put(first: int) -> None:
        for place in range(first, min(first + at_once, count)):
            images[place], labels[place] = _chip(store, int(indices[place]), turning)

    for _ in spread(put, range(0, count, at_once)):
        pass
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
    """Yield the batches of `plan` (steps, B), as tensors, made ahead of time in a thread.

    So many `threads` share the chips of a batch. When a chip cannot be read, the error goes to `trouble` and
    the rest of the batches are empty: a rank that left alone would keep the others waiting.
    """

    def made() -> Iterator[Tensors]:
        cv2.setNumThreads(1)  # ours take whole chips
        at_once = max(1, min(AT_ONCE, plan.shape[1] // threads))
        with ThreadPoolExecutor(threads) as pool:
            for indices in plan:
                if trouble.error is None:
                    try:
                        batch = make_batch(store, indices, channels, scaling, turning, pool.map, at_once)
                    except ConfigError as error:
                        trouble.error = error
                if trouble.error is not None:
                    batch = make_batch(store, np.full_like(indices, EMPTY), channels, scaling, None)
                yield tf.convert_to_tensor(batch.images), tf.convert_to_tensor(batch.labels)

    return _ahead(made())


def _ahead(source: Iterator[T]) -> Iterator[T]:
    """Yield what a source yields, AHEAD of which are made in a thread before they are asked for.

    A tf.data.Dataset of a generator does so too, and keeps something of each as long as the process lives:
    a training makes two an epoch.
    """
    with ThreadPoolExecutor(1) as thread:
        made: deque[Future[T | None]] = deque()
        try:
            made.extend(thread.submit(next, source, None) for _ in range(AHEAD))
            while (found := made.popleft().result()) is not None:
                made.append(thread.submit(next, source, None))
                yield found
        finally:
            thread.shutdown(cancel_futures=True)


def _chip(store: ChipStore, index: int, turning: Turning | None) -> Chip:
    if index == EMPTY:
        return store.empty()
    chip = store[index]
    return chip if turning is None else augmented(chip, index=index, **turning._asdict())
