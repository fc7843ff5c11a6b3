"""What of the machine TensorFlow may use; call before the first tensor is made."""

from __future__ import annotations

import tensorflow as tf


def limit_threads(threads: int | None) -> None:
    """Let TensorFlow use this many threads for one operation, and for operations at a time; None: all cores.

    TensorFlow takes the number once a process: asking again for the same is fine, for another a RuntimeError.
    """
    if threads is not None:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)


def pin_gpu(local_rank: int) -> None:
    """Show this process one GPU, the `local_rank`-th of its machine; does nothing on a machine without."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return
    gpu = gpus[local_rank % len(gpus)]
    tf.config.set_visible_devices(gpu, "GPU")
    # Otherwise the first process takes all memory of a GPU that ranks share.
    tf.config.experimental.set_memory_growth(gpu, True)
