"""Times the input pipeline against the training step that it feeds.

    .venv/bin/python -m benchmarks.training.input
    .venv/bin/python -m benchmarks.training.input --config jobs/conf/train-demo.yaml --threads 1

Chips are noise over patches of the three classes, which compresses badly: more bytes to read than real ones
have. The pipeline is drained by itself, the step repeats one batch from memory; a figure is the best round.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from labeling.settings import load_settings
from training.data.batches import Trouble, Turning, batches
from training.data.sharding import epoch_order, rank_batches
from training.prepare import Training, build, open_splits
from training.ranks import collectives
from training.ranks.collectives import Flags
from training.ranks.device import limit_threads
from training.settings.config import TrainConfig
from training.step import make_train_step

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "helpers"))
from chip_factory import write_chips

GOAL = 5.0
"""How many times faster than the step the pipeline should be."""


def drain(training: Training) -> int:
    """Read an epoch as a training does and return the number of chips."""
    config, count = training.config, len(training.train)
    order = epoch_order(count, seed=config.seed, epoch=1)
    plan = rank_batches(order, batch_size=config.rank_batch, rank=0, size=1)
    feed = batches(
        training.train,
        plan,
        channels=config.channels,
        scaling=config.scaling,
        trouble=Trouble(),
        turning=Turning.of(config, 1, training.train.card),
    )
    for _ in feed:
        pass
    return count


def stepper(training: Training) -> Callable[[], int]:
    """Return a function that takes one training step and returns the number of chips."""
    config = training.config
    step = make_train_step(training.model, training.optimizer, training.loss, at_once=config.batch_size)
    plan = np.arange(config.rank_batch, dtype=np.int64)[None] % len(training.train)
    feed = batches(training.train, plan, channels=config.channels, scaling=config.scaling, trouble=Trouble())
    images, labels = next(iter(feed))
    quiet = Flags(stop=False, trouble=False)

    def once() -> int:
        step(images, labels, quiet)
        return config.rank_batch

    once()  # compiles
    return once


def best_rate(work: Callable[[], int], rounds: int) -> float:
    """Return the most chips per second."""
    rates = []
    for _ in range(rounds):
        started = time.perf_counter()
        rates.append(work() / (time.perf_counter() - started))
    return max(rates)


def main() -> None:
    """Make chips, time both and print."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--config", type=Path, default=Path("jobs/conf/train.yaml"))
    options.add_argument("--chips", type=int, default=256, help="chips to make")
    options.add_argument("--side", type=int, default=256, help="of a chip, pixels")
    options.add_argument("--batch-size", dest="batch_size", help="instead of the configuration's")
    options.add_argument("--precision", help="instead of the configuration's")
    options.add_argument("--threads", help="CPU threads; default: the configuration's")
    options.add_argument("--rounds", type=int, default=3)
    given = options.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        chips = write_chips(Path(folder), train=given.chips, val=0, size=given.side, per_file=64)
        changed = {key: getattr(given, key) for key in ("batch_size", "precision", "threads")}
        config = load_settings(TrainConfig, given.config, {"chips": chips, "out": folder} | changed)
        world = collectives.start()
        limit_threads(config.threads)
        training = build(config, world, *open_splits(config))
        pipeline = best_rate(lambda: drain(training), given.rounds)
        step = best_rate(stepper(training), given.rounds)

    table = Table("work", "chips/s", title=f"{given.config.name}, chips of {given.side} x {given.side}")
    table.add_row("input pipeline", f"{pipeline:.0f}")
    table.add_row(f"training step, {config.rank_batch} chips, {config.precision}", f"{step:.1f}")
    table.add_row(f"pipeline / step (goal {GOAL:g})", f"{pipeline / step:.1f} x")
    Console().print(table)


if __name__ == "__main__":
    main()
