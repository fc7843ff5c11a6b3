"""Runs `jobs.train` and writes down which chips each update learned from. Run by the tests on several ranks.

python elastic_probe.py REPORTS VICTIM UPDATE ARGUMENTS…

The first process that makes so many updates as rank VICTIM kills itself then; with UPDATE 0 before the first
commit. REPORTS gets a file of JSON lines from each process.
"""

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

import jobs.train
from training import fit

ALONE_S = 0.3
"""Seconds that an update of one rank takes longer: another must have the time to come."""


class Probe:
    """Stands between the loop of a training and what it calls."""

    def __init__(self, reports, victim, update):
        self.file, self.killed = reports / f"{os.getpid()}.jsonl", reports / "killed"
        self.victim, self.update = victim, update
        self.begun, self.batch, self.places = None, [], {}

    def begin(self, begin):
        def noted(training, **start):
            self.die(training.world.rank, 0)
            state = begin(training, **start)
            self.begun = state.steps
            pictures = [training.train[index].image for index in range(len(training.train))]
            self.places = {picture.tobytes(): index for index, picture in enumerate(pictures)}
            return state

        return noted

    def make_train_step(self, make):
        def made(*arguments, **options):
            step = make(*arguments, **options)

            def noted(images, labels, flags):
                # An empty chip, which fills up the last batch, has no place.
                found = [self.places.get(image.tobytes()) for image in images.numpy()]
                self.batch = [index for index in found if index is not None]
                return step(images, labels, flags)

            return noted

        return made

    def learn(self, learn):
        def noted(training, step, state, stop):
            world = training.world
            for updated in learn(training, step, state, stop):
                row = {"epoch": updated.epoch + 1, "step": updated.steps, "chips": self.batch}
                self.write(row | {"begun": self.begun, "size": world.size, "rank": world.rank})
                self.die(world.rank, updated.steps)
                time.sleep(ALONE_S if world.size == 1 else 0)
                yield updated

        return noted

    def loop(self, loop):
        def noted(training, *arguments):
            state = loop(training, *arguments)
            values = b"".join(np.asarray(v).tobytes() for v in training.model.weights)
            self.write({"size": training.world.size, "digest": hashlib.sha256(values).hexdigest()})
            return state

        return noted

    def die(self, rank, steps):
        if (rank, steps) == (self.victim, self.update) and not self.killed.exists():
            self.killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def write(self, row):
        with self.file.open("a") as stream:
            stream.write(json.dumps(row) + "\n")


def main(reports, victim, update, *arguments):
    probe = Probe(Path(reports), int(victim), int(update))
    for name in ("begin", "make_train_step", "learn", "loop"):
        setattr(fit, name, getattr(probe, name)(getattr(fit, name)))
    return jobs.train.main(list(arguments))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
