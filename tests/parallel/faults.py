"""Trains with something wrong on rank 1 alone. Run by the tests on several ranks.

python faults.py nan|late|feeder CONFIG.json

A job of one_start.py, as it ends well: main("overflow", CONFIG.json, REPORTS)
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import tensorflow as tf

import jobs.train
from training import prepare
from training.data.feeders import Feeders
from training.network.losses import LossSum, make_loss
from training.prepare import build
from training.ranks import collectives
from training.ranks.collectives import Flags
from training.settings.config import TrainConfig
from training.step import make_train_step


def no_number(*arguments):
    """Return a loss that is no number on rank 1."""
    loss = make_loss(*arguments)

    def broken(labels, probabilities):
        found = loss(labels, probabilities)
        return found._replace(total=found.total * (np.nan if collectives.start().rank == 1 else 1.0))

    return broken


def overflowing(factor):
    """Return cross-entropy whose gradient, and not its value, is multiplied by a variable."""
    loss = make_loss("crossentropy")

    @tf.custom_gradient
    def passed(total):
        return total, lambda gradient: gradient * factor

    def poisoned(labels, probabilities):
        found = loss(labels, probabilities)
        return LossSum(passed(found.total), found.weight)

    return poisoned


def overflow(config, reports):
    """Take three steps of which rank 1 spoils the second, and write down what each rank finds."""
    world = collectives.start()
    train, val = prepare.open_splits(config)
    training = build(config, world, train, val)
    collectives.broadcast(training.model.weights)
    factor = tf.Variable(1.0)
    step = make_train_step(training.model, training.optimizer, overflowing(factor))
    chips = [train[index] for index in range(2 * world.rank, 2 * world.rank + 2)]
    images = tf.constant(np.stack([chip.image for chip in chips]) / np.float32(255))
    labels = tf.constant(np.stack([chip.label for chip in chips]))
    report = []
    for number in range(3):
        factor.assign(np.inf if (number, world.rank) == (1, 1) else 1.0)
        found = step(images, labels, Flags(stop=False, trouble=False))
        sums = [float(np.abs(np.asarray(values)).sum()) for values in training.model.weights]
        scale = float(training.optimizer.dynamic_scale)
        report.append({"finite": bool(found.finite), "weights": sums, "scale": scale})
    (reports / f"rank-{world.rank}.json").write_text(json.dumps(report))


def late():
    """Let rank 1 keep rank 0 waiting for ever."""
    if collectives.start(wait_seconds=2).rank == 1:
        time.sleep(600)
    collectives.gathered("here", "late")


def lost_feeder():
    """Have a process that feeds rank 1 killed when it has made a batch."""
    made = Feeders.made

    def cut_short(feeders, *arguments):
        for batch in made(feeders, *arguments):
            yield batch
            if collectives.start().rank == 1:
                os.kill(feeders._all[0]._process.pid, signal.SIGKILL)

    Feeders.made = cut_short


def main(fault, config_file, reports=None):
    config = TrainConfig.model_validate_json(Path(config_file).read_text())
    if fault == "overflow":
        overflow(config, Path(reports))
    elif fault == "late":
        late()
    else:
        if fault == "feeder":
            lost_feeder()
        else:
            prepare.make_loss = no_number
        sys.exit(jobs.train.main(["--config", config_file]))


if __name__ == "__main__":
    main(*sys.argv[1:])
