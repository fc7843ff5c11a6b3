"""The seam to Horovod: everything that one rank says to the others goes through this module.

Horovod's own Keras wrappers do not know Keras 3, so gradients and variables are exchanged as TensorFlow
tensors. Without a launcher all of it works on one process as rank 0 of 1. Every function below `start` is a
collective: all ranks must call it, in the same order, or those that do wait until a time limit ends the job.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

import horovod.tensorflow as hvd
import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from labeling.errors import ConfigError
from training.ranks.exchange import Exchange, last_first

T = TypeVar("T")

WAIT_S: Final = 600.0
"""Seconds that ranks wait for one another at a meeting point."""

CPU_CYCLE_MS: Final = 10.0
"""Milliseconds between Horovod's looks at what is to be reduced, where HOROVOD_CYCLE_TIME says nothing."""

_PROCESSOR: Final = partial(tf.device, "CPU:0")
"""Where all but gradients and weights is exchanged: it lies there, and GPUs may still prove to be wrong."""

_limit = WAIT_S


class World(NamedTuple):
    """Where this process stands among the others."""

    rank: int
    size: int
    local_rank: int
    """Rank among the processes of this machine."""
    elastic: bool = False
    """Whether ranks may come and go; see training/elastic.py."""

    @property
    def leads(self) -> bool:
        """Whether this is rank 0, which alone writes and prints."""
        return self.rank == 0


class Sums(NamedTuple):
    """Gradients and loss of a step, not yet divided by `weight`."""

    gradients: list[tf.Tensor]
    loss: tf.Tensor
    weight: tf.Tensor


class Flags(NamedTuple):
    """What a rank must tell the others before they go on to the next step."""

    stop: bool
    """It was asked to end."""
    trouble: bool
    """It cannot read its chips."""


def start(wait_seconds: float = WAIT_S) -> World:
    """Join the other ranks, or be the only one; a second call in a process changes nothing but the limit.

    A rank that does not come within 30 seconds (HOROVOD_GLOO_TIMEOUT_SECONDS) is an error of Horovod's. One
    that later keeps the others waiting at a meeting point for `wait_seconds` ends the job.
    """
    global _limit
    _limit = wait_seconds
    if not tf.config.list_physical_devices("GPU"):
        # Horovod's own 1 ms takes time from ranks that need the same processor (docs/performance.md).
        os.environ.setdefault("HOROVOD_CYCLE_TIME", f"{CPU_CYCLE_MS:g}")
    # Horovod would put groups that are ready at about one time into one message. How the message of a number
    # is cut decides the order in which three ranks or more add it up, so a training would not repeat.
    os.environ.setdefault("HOROVOD_DISABLE_GROUP_FUSION", "1")
    hvd.init()
    elastic = os.environ.get("HOROVOD_ELASTIC") == "1"
    return World(rank=hvd.rank(), size=hvd.size(), local_rank=hvd.local_rank(), elastic=elastic)


def has_nccl() -> bool:
    """Tell whether Horovod sums up what lies on GPUs there, by NCCL, and not in the processors' memory."""
    return bool(hvd.nccl_built())


def broadcast(variables: Sequence[keras.Variable]) -> None:
    """Give every rank the values that rank 0 has."""

    # hvd.broadcast_variables goes by the variables' own names, which count the networks a process has built:
    # an elastic training's new rank would wait for ever for one that has built two.
    # All in one graph: one after the other, each would wait for Horovod's next look.
    def received(own: list[tf.Tensor]) -> list[tf.Tensor]:
        return [hvd.broadcast(value, root_rank=0, name=f"broadcast.{i}") for i, value in enumerate(own)]

    with _not_for_ever("broadcast"):
        values = tf.function(received, autograph=False)(
            [tf.convert_to_tensor(each.value) for each in variables]
        )
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


def broadcast_object(value: T, name: str) -> T:
    """Return on every rank what rank 0 passed; it goes as JSON, so tuples come back as lists."""
    # Horovod's own functions for objects unpickle what comes, and its connections know no secret.
    own = _bytes_of(value)
    with _not_for_ever(name), _PROCESSOR():
        size = int(hvd.broadcast(tf.constant(len(own)), root_rank=0, name=f"{name}.size"))
        # Horovod wants arrays of one shape on all ranks.
        data = hvd.broadcast(tf.constant(np.resize(own, size)), root_rank=0, name=name).numpy()
    result: T = json.loads(data.tobytes())
    return result


def gathered(value: T, name: str) -> list[T]:
    """Return what every rank passed, in the order of the ranks; as JSON, as with `broadcast_object`."""
    own = _bytes_of(value)
    with _not_for_ever(name), _PROCESSOR():
        sizes = hvd.allgather(tf.constant([len(own)]), name=f"{name}.size").numpy()
        data = hvd.allgather(tf.constant(own), name=name).numpy()
    return [json.loads(part.tobytes()) for part in np.split(data, np.cumsum(sizes)[:-1])]


def sum_step(sums: Sums, flags: tf.Tensor, exchange: Exchange) -> tuple[Sums, tf.Tensor]:
    """Add up gradients, loss, weight and flags (float32 tensors) over the ranks; inside a tf.function.

    Ranks hold different numbers of labelled pixels, so their averages must not be averaged: summing first
    and dividing by the common weight makes N ranks one process with the whole batch. A flag (0 or 1) that any
    rank raised comes back above 0, so that all ranks leave off at the same step.

    The gradients go in groups, the last layer's first, as the backward pass makes them: a group is on its way
    while the next is worked out.
    """
    if hvd.size() == 1:  # Horovod would look for others at its next cycle only
        return sums, flags
    gradients = sums.gradients
    runs = last_first([gradient.shape.num_elements() for gradient in gradients], exchange.groups)
    told = [len(gradients) + place for place in range(3)]
    if exchange.factor is None:
        runs[0] += told
    else:
        gradients = [tf.cast(gradient * exchange.factor, tf.float16) for gradient in gradients]
        runs.insert(0, told)  # a group's tensors are of one type
    tensors = [*gradients, sums.loss, sums.weight, flags]
    for number, run in enumerate(runs):
        own = [tensors[place] for place in run]
        summed = hvd.grouped_allreduce(own, op=hvd.Sum, name=f"step.{number}")
        for place, tensor in zip(run, summed, strict=True):
            tensors[place] = tensor
    *gradients, loss, weight, raised = tensors
    if exchange.factor is not None:
        gradients = [tf.cast(gradient, tf.float32) / exchange.factor for gradient in gradients]
    return Sums(gradients, loss, weight), raised


def any_rank(asked: bool, name: str) -> bool:
    """Tell every rank whether any of them passed True."""
    return bool(sum_array(np.array(asked, np.int64), name) > 0)


def wait(name: str) -> None:
    """Go on when all ranks have come here."""
    sum_array(np.zeros((), np.int64), name)


def sum_array(values: NDArray[Any], name: str) -> NDArray[Any]:
    """Add an array of one shape and dtype (int64 or float64) up over the ranks."""
    with _not_for_ever(name), _PROCESSOR():
        total: NDArray[Any] = hvd.allreduce(tf.constant(values), op=hvd.Sum, name=name).numpy()
    return total.astype(values.dtype)


@contextmanager
def agreeing(what: str) -> Iterator[None]:
    """Let all ranks go on after the block only when it succeeded on all of them.

    A ConfigError on any rank is raised on every rank, so that none waits for one that has gone and rank 0 can
    tell the user even if the trouble is on another machine. Other errors pass: the process ends, which
    ends the job. The block itself must hold no collective.
    """
    problem: str | None = None
    try:
        yield
    except ConfigError as error:
        problem = str(error)
    for rank, text in enumerate(gathered(problem, f"agree.{what}")):
        if text is not None:
            others = f" (rank {rank})" if rank else ""
            raise ConfigError(f"{text}{others}")


def _bytes_of(value: Any) -> NDArray[np.uint8]:
    return np.frombuffer(json.dumps(value).encode(), np.uint8)


@contextmanager
def _not_for_ever(name: str) -> Iterator[None]:
    """End the process when the block takes longer than the limit; the launcher then ends the others.

    The training step has no such limit: how long it takes is the user's choice of network and batch. A
    thread, because nothing else gets through to a process that waits inside a collective. Horovod's own
    stall check stays silent when a rank that has joined does not come to a meeting point at all.
    """

    def give_up() -> None:
        text = (
            f"train: rank {hvd.rank()} waited {_limit:g} s for the others at '{name}': does one of them hang?"
        )
        print(text, file=sys.stderr, flush=True)
        os._exit(1)

    timer = threading.Timer(_limit, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
