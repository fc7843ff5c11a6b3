"""Batches for one rank, made while the network works: by a thread, or by processes that feed it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, TypeVar

import cv2
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from labeling.errors import ConfigError
from training.data.batch import Batch, Turning, View, make_batch
from training.data.feeders import AHEAD, Feeders
from training.data.sharding import EMPTY, Indices
from training.data.store import ChipStore
from training.settings.config import Channels, Scaling

T = TypeVar("T")

Tensors = tuple[tf.Tensor, tf.Tensor]
"""Images and labels of a Batch."""


@dataclass
class Trouble:
    """Where an error is left that ends the feed, for the rank to tell the others at the next step."""

    error: ConfigError | None = None


def batches(
    store: ChipStore,
    plan: Indices,
    *,
    channels: Channels,
    scaling: Scaling,
    trouble: Trouble,
    turning: Turning | None = None,
    feeders: Feeders | None = None,
) -> Iterator[Tensors]:
    """Yield the batches of `plan` (steps, B), as tensors, made ahead of time by `feeders`; None: by a thread.

    When a chip cannot be read, or a feeder has died, the error goes to `trouble` and the rest of the batches
    are empty: a rank that left alone would keep the others waiting.
    """
    view, nothing = View(channels, scaling, turning), np.full(plan.shape[1], EMPTY)
    cv2.setNumThreads(1)  # the cores are the network's
    with closing(feeders.made(store, plan, view) if feeders else _made(store, plan, view)) as source:
        for _ in plan:
            batch = None
            if trouble.error is None:
                try:
                    batch = next(source)
                except ConfigError as error:
                    trouble.error = error
            yield _tensors(batch or make_batch(store, nothing, view._replace(turning=None)))


def _tensors(batch: Batch) -> Tensors:
    """Return a batch as tensors, which keep its memory: copying takes a sixth of a plain chip's time."""
    return _tensor(batch.images), _tensor(batch.labels)


def _tensor(array: NDArray[Any]) -> tf.Tensor:
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())


def _made(store: ChipStore, plan: Indices, view: View) -> Generator[Batch]:
    return _ahead(partial(make_batch, store, view=view), plan)


def _ahead(work: Callable[[Indices], T], plan: Indices) -> Generator[T]:
    """Yield `work` of each row of a plan, in order; a thread does AHEAD of them before they are asked for.

    A tf.data.Dataset of a generator does so too, and keeps something of each as long as the process lives:
    a training makes two an epoch.
    """
    with ThreadPoolExecutor(1) as pool:
        try:
            rows = iter(plan)
            done = deque(pool.submit(work, row) for row in islice(rows, AHEAD))
            while done:
                found = done.popleft().result()
                done.extend(pool.submit(work, row) for row in islice(rows, 1))
                yield found
        finally:
            pool.shutdown(cancel_futures=True)
