"""Trains as `training.fit.run` does and writes down what one rank saw.

A job of one_start.py: main(CONFIG.json, REPORTS)
"""

import hashlib
import json
from pathlib import Path

import numpy as np

from training.data.store import ChipStore
from training.fit import loop
from training.prepare import begin, build
from training.ranks import collectives
from training.ranks.stop import Stop
from training.settings.config import TrainConfig


class Recording(ChipStore):
    """Chips that remember which of them were read."""

    def __init__(self, chips, split):
        super().__init__(chips, split)
        self.seen = []

    def __getitem__(self, index):
        self.seen.append(index)
        return super().__getitem__(index)


def digest(model):
    return hashlib.sha256(b"".join(np.asarray(v).tobytes() for v in model.weights)).hexdigest()


def main(config_file, reports):
    config = TrainConfig.model_validate_json(Path(config_file).read_text())
    world = collectives.start()
    train, val = (Recording(config.chips, split) for split in ("train", "val"))
    training = build(config, world, train, val)
    digests = [digest(training.model)]
    state = begin(training, resume=False, overwrite=False)
    digests.append(digest(training.model))
    state = loop(training, state, Stop(), started=0.0)
    digests.append(digest(training.model))
    report = {"size": world.size, "digests": digests, "train": train.seen, "val": val.seen}
    (Path(reports) / f"rank-{world.rank}.json").write_text(json.dumps(report))
