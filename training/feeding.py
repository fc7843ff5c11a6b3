"""How chips come to a rank: kept unpacked once a machine, and made into batches by processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from labeling.files.locks.holder import machine
from training.data.batch import Layout, View
from training.data.feeders import Feeders
from training.data.store import ChipStore
from training.data.unpacked import place
from training.ranks import collectives
from training.ranks.collectives import World
from training.settings.config import TrainConfig

MOST_FEEDERS: Final = 8
"""Processes of a rank where nobody says how many: those make more chips than a GPU learns from."""

UNKEPT: Final = (
    "train: chips are not kept unpacked, so each epoch unpacks them anew: TMPDIR (or /var/tmp) is no disk "
    "with twice their room"
)


def keep_unpacked(config: TrainConfig, world: World, *stores: ChipStore) -> None:
    """Let the ranks of each machine keep their chips unpacked together; a collective.

    A rank that cannot reads its chips out of Parquet every time, which changes nothing but the time.
    """
    with ExitStack() as names:
        own: list[str | None] = [None] * len(stores)
        if world.local_rank == 0 and config.unpack:
            sizes = [len(store) * sum(store.chip_bytes) for store in stores]
            files = [
                names.enter_context(place(len(store), sum(store.chip_bytes), beside=sum(sizes) - size))
                for store, size in zip(stores, sizes, strict=True)
            ]
            own = [None if file is None else str(file) for file in files]
            if None in own and world.leads:
                print(UNKEPT, file=sys.stderr, flush=True)
        here = machine()
        hosts = collectives.gathered((here, world.local_rank, own), "unpacked")
        shared = next((files for host, local_rank, files in hosts if (host, local_rank) == (here, 0)), own)
        # The files lose their names when all have them open.
        with collectives.agreeing("kept"):
            for store, name in zip(stores, shared, strict=True):
                # What looks like one machine may have other disks: then there is no such file here.
                if name is not None:
                    with suppress(OSError):
                        store.keep(Path(name))


@contextmanager
def feeding(config: TrainConfig, world: World, *stores: ChipStore, gpu: bool) -> Iterator[Feeders | None]:
    """Start the processes that make this rank's batches, None where a thread does; a collective."""
    view = View(config.channels, config.scaling)
    most = Layout.of(stores[0], config.rank_batch * world.size, view).size
    with ExitStack() as started:
        feeders = None
        with collectives.agreeing("feeders"):
            if count := feeder_count(config, gpu=gpu):
                feeders = started.enter_context(Feeders(count, stores, most))
        yield feeders


def feeder_count(config: TrainConfig, *, gpu: bool) -> int:
    """Return how many processes make a rank's batches.

    Where nobody says, a GPU gets the rank's share of the cores but one; a network on processors takes them
    itself, and a thread makes more chips than it learns from.
    """
    if config.feeders is not None:
        return config.feeders
    cores = config.threads or len(os.sched_getaffinity(0)) // collectives.ranks_here()
    return min(max(0, cores - 1), MOST_FEEDERS) if gpu else 0
