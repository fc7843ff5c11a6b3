"""Times what a training does on the host between two steps: with a network and chips that cost nothing.

    .venv/bin/python -m benchmarks.training.host
    .venv/bin/python -m benchmarks.training.host --schedule cosine
    .venv/bin/python -m benchmarks.training.host --feeders 1   # and what batches from another process cost

The loop of an epoch runs as it is (training/epoch.py), but its one batch comes from memory, or from processes
that feed it. Each of its updates is followed by a call of the same compiled step by itself, whose time is
taken off: so both see the same load of the machine. On a GPU the step's own time is that of handing it over,
so what is left holds the wait for its result too.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple
from unittest import mock

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from training import epoch
from training.feeding import feeding, keep_unpacked
from training.folder.checkpoints import State
from training.prepare import build, open_splits
from training.ranks import collectives
from training.ranks.device import limit_threads, take_gpu
from training.ranks.stop import Stop
from training.settings.config import TrainConfig
from training.step import make_train_step

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "helpers"))
from chip_factory import write_chips

GOAL_MS: Final = 1.0
"""Most that an update may cost beside its step."""

LEFT_OUT: Final = 20
"""First updates, which compile."""

SIDE: Final = 16
"""Of a chip, pixels."""

TINY: Final[dict[str, Any]] = {"depth": 1, "width": 1, "dropout": (0.0,), "batch_size": 1, "threads": 1}


class Between(NamedTuple):
    """Medians over updates, ms."""

    wall: float
    """Of an update beside its step."""
    processor: float
    """The same in processor time of the thread that runs the loop, whatever else the machine does."""
    step: float
    """Of the step by itself."""


def measured(updates: int, **changed: Any) -> Between:
    """Run so many updates; in a process of its own, as TensorFlow takes its threads once."""
    with tempfile.TemporaryDirectory() as folder:
        chips = write_chips(Path(folder) / "chips", train=updates, val=0, size=SIDE, per_file=updates)
        config = TrainConfig.model_validate({"chips": chips, "out": folder} | TINY | changed)
        world = collectives.start()
        limit_threads(config.threads)
        take_gpu(config.gpus, world.local_rank)
        training = build(config, world, *open_splits(config))
        keep_unpacked(config, world, training.train)
        for index in range(updates):
            training.train[index]  # the files go now
    step = make_train_step(training.model, training.optimizer, training.loss, at_once=1)
    images, labels = tf.zeros((1, SIDE, SIDE, 3), tf.uint8), tf.zeros((1, SIDE, SIDE), tf.uint8)
    quiet = tf.zeros(2)
    state = State(epoch=0, history=[], best_epoch=0, best_scores=None)
    both = []
    with ExitStack() as fed:
        if config.feeders:
            feeders = fed.enter_context(feeding(config, world, training.train, gpu=False))
            training = replace(training, feeders=feeders)
        else:
            one = [(images, labels)]
            fed.enter_context(mock.patch.object(epoch, "batches", lambda _, plan, **__: one * len(plan)))
        loop = epoch.learn(training, step, state, Stop())
        begun = _now()
        for _ in loop:
            updated = _now()
            told, _ = step.graph(images, labels, quiet)
            both.append((updated - begun, _now() - updated))
            told.numpy()  # on a GPU: nothing is left to do when the next one begins
            begun = _now()
    whole, bare = (np.array(each) for each in zip(*both[LEFT_OUT:], strict=True))
    wall, processor = np.median(whole - bare, axis=0)
    return Between(float(wall), float(processor), float(np.median(bare[:, 0])))


def _now() -> NDArray[np.float64]:
    """Return the time, and the processor time of this thread, ms."""
    return 1000 * np.array([time.perf_counter(), time.thread_time()])


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--updates", type=int, default=1000)
    options.add_argument("--schedule", choices=["constant", "cosine"], default="constant")
    options.add_argument("--feeders", type=int, default=0, help="processes that make the batches")
    options.add_argument("--gpus", choices=["auto", "none"], default="auto")
    given = options.parse_args()
    found = measured(given.updates, schedule=given.schedule, gpus=given.gpus, feeders=given.feeders)
    print(
        f"between two steps: {found.wall:.2f} ms (goal {GOAL_MS:g}), {found.processor:.2f} ms of it on a "
        f"processor; the step of this network by itself: {found.step:.2f} ms"
    )


if __name__ == "__main__":
    main()
