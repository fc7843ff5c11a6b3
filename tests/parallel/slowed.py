"""Trains while each rank sleeps so long over every chip, as if its processor were slow.

A job of one_start.py: main(CONFIG.json, REPORTS, SECONDS…)
"""

import json
import time
from pathlib import Path
from unittest import mock

import tensorflow as tf

from training import prepare
from training.fit import loop
from training.network.losses import make_loss
from training.prepare import begin, build
from training.ranks import collectives
from training.ranks.stop import Stop
from training.settings.config import TrainConfig


def slow_loss(seconds):
    """Return a maker of losses that take so many more seconds a chip, asleep."""

    def make(*arguments):
        loss = make_loss(*arguments)

        def slow(labels, probabilities):
            tf.py_function(lambda chips: time.sleep(seconds * int(chips)), [tf.shape(labels)[0]], [])
            return loss(labels, probabilities)

        return slow

    return make


def main(config_file, reports, *seconds):
    config = TrainConfig.model_validate_json(Path(config_file).read_text())
    world = collectives.start()
    with mock.patch.object(prepare, "make_loss", slow_loss(float(seconds[world.rank]))):
        training = build(config, world, *prepare.open_splits(config))
    state = begin(training, resume=False, overwrite=False)
    loop(training, state, Stop(), started=0.0)
    (Path(reports) / f"rank-{world.rank}.json").write_text(json.dumps(training.balancer.shares))
