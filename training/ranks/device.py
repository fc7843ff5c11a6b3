"""What of the machine TensorFlow may use; call before the first tensor is made."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from typing import Final, NamedTuple

import tensorflow as tf

from labeling.errors import ConfigError
from training.ranks import collectives
from training.ranks.gpus import INSTEAD, Held, identity, own_index, unseen
from training.settings.config import Gpus

SLOW: Final = (
    "Horovod was built without NCCL, so gradients go from the GPUs through the processors: "
    "`make setup GPU=1` builds it with NCCL (docs/gpus.md)"
)


class Device(NamedTuple):
    """What this process computes on."""

    held: Held
    doubt: str | None = None
    """What speaks against it."""
    problem: str | None = None
    """Why it must not be."""

    def check(self) -> None:
        """Raise its problem as ConfigError."""
        if self.problem is not None:
            raise ConfigError(self.problem)


def limit_threads(threads: int | None) -> None:
    """Let TensorFlow use this many threads for one operation, and for operations at a time; None: all cores.

    TensorFlow takes the number once a process: asking again for the same is fine, for another a RuntimeError.
    """
    if threads is not None:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)


def take_gpu(wanted: Gpus, local_rank: int) -> Device:
    """Show this process its GPU, by its number on this machine; after `collectives.start`.

    Whether it may train with it is for `Device.check`, where other ranks can be told.
    """
    gpus = tf.config.list_physical_devices("GPU")
    processor = Held(platform.node())
    if wanted == "none":
        if gpus:
            tf.config.set_visible_devices([], "GPU")
        return Device(processor)
    if not gpus:
        problem = unseen(os.environ, cuda=tf.test.is_built_with_cuda())
        if wanted == "required" and problem is None:
            problem = f"gpus: required, and {processor.host} shows this process none; {INSTEAD}"
        return Device(processor, problem=problem)
    index = own_index(len(gpus), local_rank)
    tf.config.set_visible_devices(gpus[index], "GPU")
    use_exactly(gpus[index])
    return judged(Held(processor.host, identity(index, os.environ), collectives.has_nccl()), wanted)


def judged(held: Held, wanted: Gpus) -> Device:
    """Return a GPU as a device: without NCCL it is doubted, and where GPUs are required refused."""
    slow = None if held.nccl else SLOW
    return Device(held, problem=slow) if wanted == "required" else Device(held, doubt=slow)


def share_gpus() -> None:
    """Leave memory of this process's GPUs to others that use them; nothing where it has begun to use them."""
    for gpu in tf.config.list_physical_devices("GPU"):
        with suppress(RuntimeError):
            use_exactly(gpu)


def use_exactly(gpu: tf.config.PhysicalDevice) -> None:
    """Let TensorFlow take memory of a GPU as it needs it, and keep to float32 where it is told float32."""
    tf.config.experimental.set_memory_growth(gpu, True)
    # By default products on an A100 or later have 10 bits of mantissa (TensorFloat-32). For speed: bfloat16.
    tf.config.experimental.enable_tensor_float_32_execution(False)
