"""Times the input pipeline against the training step that it feeds.

    .venv/bin/python -m benchmarks.training.input
    .venv/bin/python -m benchmarks.training.input --config jobs/conf/train-demo.yaml --threads 1

Chips are noise over patches of the three classes, which compresses badly: more bytes to read than real ones
have. Each stage is done by itself, by one thread and by two. Batches are made as for a training, by a thread
of it and by one and two processes that feed it (`feeders`), and thrown away ("each alone": by processes that
know nothing of each other or of a training: their ratio is the machine's). The step repeats one batch from
memory. A figure is the best round; the last column is the median over rounds in turn, for the machine's speed
changes. Processor time is that of all threads of the process: beside other work it says more than the clock.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from labeling.settings import load_settings
from training.data.augment import augmented
from training.data.batch import Layout, Turning, View, make_batch
from training.data.batches import Trouble, batches
from training.data.sharding import EMPTY, epoch_order, rank_batches
from training.data.store import ChipStore
from training.data.unpacked import place
from training.feeding import feeding
from training.prepare import Training, build, open_splits
from training.ranks import collectives
from training.ranks.collectives import Flags
from training.ranks.device import limit_threads
from training.settings.config import TrainConfig
from training.step import make_train_step

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "helpers"))
from chip_factory import write_chips

POSES = {"augment": True, "skies": 0.0, "tones": 0.0, "brightness": 0.0}
SKIES, TONES, BRIGHTNESS = {"skies": 0.7}, {"tones": 0.5}, {"brightness": 0.03}
DRAWN = POSES | SKIES | TONES | BRIGHTNESS
"""Settings of train.yaml and of train-skies.yaml."""

CUTS = (30, 204)
THREADS = (1, 2)
FEEDERS = (0, 1, 2)
EPOCHS = 4

Rates = NDArray[np.float64]
"""Chips a second (rounds, FEEDERS)."""

GOAL = 5.0
"""How many times faster than the step the pipeline should be."""


def drain(training: Training, epochs: int = 1) -> int:
    """Read epochs as a training does, but in one go, and return the number of chips."""
    config, count = training.config, len(training.train)
    order = np.tile(epoch_order(count, seed=config.seed, epoch=1), epochs)
    plan = rank_batches(order, batch_size=config.rank_batch, rank=0, size=1)
    feed = batches(
        training.train,
        plan,
        channels=config.channels,
        scaling=config.scaling,
        trouble=Trouble(),
        turning=Turning.of(config, 1, training.train.card),
        feeders=training.feeders,
    )
    for _ in feed:
        pass
    return len(order)


def stages(training: Training, parquet: ChipStore, kept: ChipStore) -> dict[str, Callable[[int], int]]:
    """Return what is done to the training chips: functions of a number of threads that return how many."""
    held = [kept[index] for index in range(len(kept))]

    def changed(settings: dict[str, float]) -> Callable[[int], int]:
        config = training.config.model_copy(update=POSES | settings)
        changes = Turning.of(config, 1, kept.card).changes

        def work(index: int) -> object:
            return augmented(held[index], seed=1, epoch=1, index=index, changes=changes)

        return partial(_spread, work, len(held))

    return {
        "read out of Parquet": partial(_spread, parquet.__getitem__, len(held)),
        "read, kept unpacked": partial(_spread, kept.__getitem__, len(held)),
        "turn and mirror": changed({}),
        "turn and mirror, brightness": changed(BRIGHTNESS),
        "turn and mirror, tones": changed(TONES),
        "turn and mirror, skies": changed(SKIES),
        "turn and mirror, skies, tones, brightness": changed(SKIES | TONES | BRIGHTNESS),
    }


def feeds(
    training: Training, parquet: ChipStore, kept: ChipStore, rounds: int
) -> Iterator[tuple[str, Rates]]:
    """Make batches as a training does and yield how many chips a second, by FEEDERS."""
    whole = training.config.model_copy(update=POSES), training.config.model_copy(update=DRAWN)
    plain, drawn = (replace(training, config=config) for config in whole)
    yield "batches, unpack: false", _in_turn(replace(plain, train=parquet), rounds)
    yield "batches, first epoch, which keeps chips", _first(plain, rounds)
    yield "batches, later epochs", _in_turn(replace(plain, train=kept), rounds)
    yield "batches with skies, tones, brightness, later epochs", _in_turn(replace(drawn, train=kept), rounds)
    yield "the same, each alone", _apart(drawn, rounds)


def _in_turn(training: Training, rounds: int) -> Rates:
    """Return the chips a second of EPOCHS by FEEDERS, taken in turn."""
    with ExitStack() as started:
        fed = [started.enter_context(_fed(training, count)) for count in FEEDERS]
        for each in fed:
            drain(each)  # loads what is compiled
        works = [partial(drain, each, EPOCHS) for each in fed]
        return np.array([[best_rate(work, 1) for work in works] for _ in range(rounds)])


def _first(training: Training, rounds: int) -> Rates:
    """Return the chips a second of first epochs, likewise."""
    nothing = np.full((4, training.config.rank_batch), EMPTY)

    def once(count: int) -> float:
        store = _opened(training.config, unpack=True)
        with _fed(replace(training, train=store), count) as each:
            if each.feeders:  # who has answered has come to himself
                [*each.feeders.made(store, nothing, View("rgb", "255"))]
            return best_rate(partial(drain, each), 1)

    return np.array([[once(count) for count in FEEDERS] for _ in range(rounds)])


def _apart(training: Training, rounds: int) -> Rates:
    """Return the chips a second of as many processes, which know nothing of each other, taken in turn."""
    with get_context("spawn").Pool(max(FEEDERS), _begin, (training.config,)) as pool:

        def rate(count: int) -> float:
            return count and best_rate(lambda: sum(pool.map(_alone, range(count), chunksize=1)), 1)

        for _ in range(2):
            rate(max(FEEDERS))  # all have come to themselves
        return np.array([[rate(count) for count in FEEDERS] for _ in range(rounds)])


def _begin(config: TrainConfig) -> None:
    """Open a store of its own in a process of `_apart`."""
    global own
    own = _opened(config, unpack=True), config
    _alone(0)


def _alone(_: int) -> int:
    store, config = own
    cv2.setNumThreads(1)
    order = np.tile(epoch_order(len(store), seed=config.seed, epoch=1), EPOCHS)
    view = View(config.channels, config.scaling, Turning.of(config, 1, store.card))
    made = Layout.of(store, config.rank_batch, view).empty()
    for indices in rank_batches(order, batch_size=config.rank_batch, rank=0, size=1):
        make_batch(store, indices, view, made)
    return len(order)


@contextmanager
def _fed(training: Training, count: int) -> Iterator[Training]:
    config = training.config.model_copy(update={"feeders": count})
    with feeding(config, training.world, training.train, gpu=False) as feeders:
        yield replace(training, feeders=feeders)


def _opened(config: TrainConfig, *, unpack: bool) -> ChipStore:
    """Open the training chips, which then have the cut points that tones need."""
    store = open_splits(config)[0]
    store.card = store.card.model_copy(update={"cut_points": CUTS})
    if unpack:
        with place(len(store), sum(store.chip_bytes)) as file:
            if file is None:
                raise SystemExit("there is no room to keep chips unpacked: TMPDIR names another disk")
            store.keep(file)
    return store


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


class Pace(NamedTuple):
    """How quickly something is done."""

    rate: float
    """Chips a second."""
    busy: float
    """Processor time of a chip, us."""


def best_pace(work: Callable[[], int], rounds: int) -> Pace:
    """Return the most chips a second, and the least processor time that a round took for one."""
    paces = []
    for _ in range(rounds):
        started, busy = time.perf_counter(), time.process_time()
        count = work()
        busy, passed = time.process_time() - busy, time.perf_counter() - started
        paces.append(Pace(count / passed, busy / count * 1e6))
    return Pace(max(pace.rate for pace in paces), min(pace.busy for pace in paces))


def best_rate(work: Callable[[], int], rounds: int) -> float:
    """Return the most chips per second."""
    return best_pace(work, rounds).rate


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
        parquet, kept = (_opened(config, unpack=unpack) for unpack in (False, True))
        works = stages(training, parquet, kept)
        cv2.setNumThreads(1)  # as batches have it: ours take whole chips
        paces = {
            name: [best_pace(partial(work, threads), given.rounds) for threads in THREADS]
            for name, work in works.items()
        }
        made = dict(feeds(training, parquet, kept, given.rounds))
        step = best_rate(stepper(training), given.rounds)

    what = f"{given.config.name}, chips of {given.side} x {given.side}"
    title = f"chips a second, and processor time of a chip; {what}"
    columns = (f"{threads} thread(s)" for threads in THREADS)
    busy = (f"us, {threads} thread(s)" for threads in THREADS)
    table = Table("work", *columns, "times", *busy, title=title, box=MARKDOWN)
    for name, found in paces.items():
        rates = [pace.rate for pace in found]
        shown = (f"{pace.busy:.0f}" for pace in found)
        table.add_row(name, *(f"{rate:.0f}" for rate in rates), f"{rates[-1] / rates[0]:.2f}", *shown)
    columns = (f"{count} process(es)" if count else "a thread" for count in FEEDERS)
    fed = Table("work", *columns, "two / one, median", title=f"chips a second; {what}", box=MARKDOWN)
    for name, rates in made.items():
        times = np.median(rates[:, 2] / rates[:, 1])
        fed.add_row(name, *(f"{rate:.0f}" if rate else "" for rate in rates.max(0)), f"{times:.2f}")
    fed.add_row(f"training step, {config.rank_batch} chips, {config.precision}", f"{step:.1f}")
    console = Console(width=110)
    console.print(table)
    console.print(fed)
    slowest = min(made[f"batches, {which}"][:, 0].max() for which in ("unpack: false", "later epochs"))
    print(f"{what}; batches / step (goal {GOAL:g}): {slowest / step:.0f} x")


if __name__ == "__main__":
    main()
