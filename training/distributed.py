"""The seam to Horovod: everything that one rank says to the others goes through this module.

Horovod's own Keras wrappers do not know Keras 3, so gradients and variables are exchanged as TensorFlow
tensors. Without `horovodrun` all of it works on one process as rank 0 of 1. Every function below `start` is a
collective: all ranks must call it, in the same order, or those that do wait for ever.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import horovod.tensorflow as hvd
import keras
import tensorflow as tf
from numpy.typing import NDArray

from labeling.errors import ConfigError

T = TypeVar("T")


class World(NamedTuple):
    """Where this process stands among the others."""

    rank: int
    size: int
    local_rank: int
    """Rank among the processes of this machine."""

    @property
    def leads(self) -> bool:
        """Whether this is rank 0, which alone writes and prints."""
        return self.rank == 0


class Sums(NamedTuple):
    """Gradients and loss of the whole job's step, not yet divided by `pixels`."""

    gradients: list[tf.Tensor]
    loss: tf.Tensor
    pixels: tf.Tensor


def start() -> World:
    """Join the other ranks, or be the only one; a second call in a process changes nothing."""
    hvd.init()
    return World(rank=hvd.rank(), size=hvd.size(), local_rank=hvd.local_rank())


def broadcast(variables: Sequence[keras.Variable]) -> None:
    """Give every rank the values that rank 0 has."""
    hvd.broadcast_variables([variable.value for variable in variables], root_rank=0)


def broadcast_object(value: T, name: str) -> T:
    """Return on every rank what rank 0 passed; it must be picklable."""
    result: T = hvd.broadcast_object(value, root_rank=0, name=name)
    return result


def sum_step(sums: Sums) -> Sums:
    """Add up gradients, loss and pixel counts (float32 tensors) over the ranks; for use inside a tf.function.

    Ranks hold different numbers of labelled pixels, so their averages must not be averaged: summing first
    and dividing by the common count makes N ranks one process with the whole batch.
    """
    *gradients, loss, pixels = hvd.grouped_allreduce(
        [*sums.gradients, sums.loss, sums.pixels], op=hvd.Sum, name="step"
    )
    return Sums(gradients=gradients, loss=loss, pixels=pixels)


def sum_array(values: NDArray[Any], name: str) -> NDArray[Any]:
    """Add an array of one shape and dtype (int64 or float64) up over the ranks."""
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
    problems: list[str | None] = hvd.allgather_object(problem, name=f"agree.{what}")
    for rank, text in enumerate(problems):
        if text is not None:
            others = f" (rank {rank})" if rank else ""
            raise ConfigError(f"{text}{others}")
