"""Times the input pipeline against the training step that it feeds.

    .venv/bin/python -m benchmarks.training.input
    .venv/bin/python -m benchmarks.training.input --config jobs/conf/train-demo.yaml --threads 1

Chips are noise over patches of the three classes, which compresses badly: more bytes to read than real ones
have. Each stage is done by itself, by one thread and by two; batches are made as for a training and thrown
away; the step repeats one batch from memory. A figure is the best round.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from labeling.settings import load_settings
from training.data.augment import augmented
from training.data.batches import Trouble, Turning, batches
from training.data.sharding import epoch_order, rank_batches
from training.data.store import ChipStore
from training.data.unpacked import place
from training.prepare import Training, build, open_splits
from training.ranks import collectives
from training.ranks.collectives import Flags
from training.ranks.device import limit_threads
from training.settings.config import TrainConfig
from training.step import make_train_step

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "helpers"))
from chip_factory import write_chips

PLAIN = {"augment": True, "skies": 0.0, "tones": 0.0, "brightness": 0.0}
DRAWN = PLAIN | {"skies": 0.7, "tones": 0.5, "brightness": 0.03}
"""Settings of train.yaml and of train-skies.yaml."""

CUTS = (30, 204)
THREADS = (1, 2)

GOAL = 5.0
"""How many times faster than the step the pipeline should be."""


def drain(training: Training, threads: int | None = None) -> int:
    """Read an epoch as a training does, with so many threads, and return the number of chips."""
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
        threads=threads or training.feeders,
    )
    for _ in feed:
        pass
    return count


def stages(training: Training) -> dict[str, Callable[[int], int]]:
    """Return what is done to the training chips: functions of a number of threads that return how many."""
    parquet, kept = training.train, open_splits(training.config)[0]
    with place(len(kept), sum(kept.chip_bytes)) as file:
        if file is None:
            raise SystemExit("there is no room to keep chips unpacked: TMPDIR names another disk")
        kept.keep(file)
    for store in (parquet, kept):
        store.card = store.card.model_copy(update={"cut_points": CUTS})
    held = [kept[index] for index in range(len(kept))]
    plain, drawn = (training.config.model_copy(update=changes) for changes in (PLAIN, DRAWN))

    def changed(config: TrainConfig) -> Callable[[int], object]:
        changes = Turning.of(config, 1, kept.card).changes
        return lambda index: augmented(held[index], seed=1, epoch=1, index=index, changes=changes)

    def fed(config: TrainConfig, store: ChipStore) -> Callable[[int], int]:
        return partial(drain, replace(training, config=config, train=store))

    return {
        "read out of Parquet": partial(_spread, parquet.__getitem__, len(held)),
        "read, kept unpacked": partial(_spread, kept.__getitem__, len(held)),
        "turn and mirror": partial(_spread, changed(plain), len(held)),
        "skies, tones and brightness too": partial(_spread, changed(drawn), len(held)),
        "batches, unpack: false": fed(plain, parquet),
        "batches, later epochs": fed(plain, kept),
        "batches with skies, tones and brightness, later epochs": fed(drawn, kept),
    }


def _spread(work: Callable[[int], object], count: int, threads: int) -> int:
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, range(count)):
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
        works = stages(training)
        rates = {
            name: [best_rate(partial(work, threads), given.rounds) for threads in THREADS]
            for name, work in works.items()
        }
        step = best_rate(stepper(training), given.rounds)

    title = f"chips a second; {given.config.name}, chips of {given.side} x {given.side}"
    table = Table(
        "work", *(f"{threads} thread(s)" for threads in THREADS), "times", title=title, box=MARKDOWN
    )
    for name, found in rates.items():
        table.add_row(name, *(f"{rate:.0f}" for rate in found), f"{found[-1] / found[0]:.2f}")
    table.add_row(f"training step, {config.rank_batch} chips, {config.precision}", f"{step:.1f}")
    Console(width=110).print(table)
    slowest = min(rates["batches, unpack: false"][-1], rates["batches, later epochs"][-1])
    what = f"{given.config.name}, chips of {given.side} x {given.side}"
    print(f"{what}; batches / step (goal {GOAL:g}): {slowest / step:.0f} x")


if __name__ == "__main__":
    main()
