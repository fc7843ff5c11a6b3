"""A training whose last rank is slowed: after each chip it sleeps in proportion to what the chip took it.

    python -m jobs.launch --ranks 2 python -m benchmarks.training.slowed --ratio 3 --config FILE

The rank sleeps ratio - 1 times the processor seconds it has used since it last slept, so it is `ratio` times
slower than without, whatever else the machine does, and its core is free meanwhile. The other flags are
those of `jobs.train`.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import Any

import tensorflow as tf

import jobs.train
from training import prepare
from training.network.losses import Loss, LossSum, make_loss


class Brake:
    """Sleeps in proportion to the processor time since it last did."""

    def __init__(self, ratio: float) -> None:
        self._ratio, self._used = ratio, time.process_time()

    def __call__(self) -> None:
        """Sleep."""
        time.sleep((self._ratio - 1) * (time.process_time() - self._used))
        self._used = time.process_time()


def braked(loss: Loss, brake: Brake) -> Loss:
    """Return the same loss, which is computed once a forward pass, with a brake."""

    def slow(labels: Any, probabilities: Any) -> LossSum:
        with tf.control_dependencies([probabilities]):
            tf.py_function(brake, [], [])
        return loss(labels, probabilities)

    return slow


def main() -> int:
    """Train, slowed on the last rank; returns the exit code of `jobs.train`."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--ratio", type=float, required=True)
    given, others = options.parse_known_args()
    if int(os.environ["HOROVOD_RANK"]) == int(os.environ["HOROVOD_SIZE"]) - 1:
        brake = Brake(given.ratio)
        prepare.make_loss = lambda *arguments: braked(make_loss(*arguments), brake)
    return jobs.train.main(others)


if __name__ == "__main__":
    sys.exit(main())
