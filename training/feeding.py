"""How chips come to a rank: kept unpacked once a machine, and made into batches by processes."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Final

from labeling.errors import ConfigError
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
    here, own = machine(), sorted(os.sched_getaffinity(0))
    told = collectives.gathered((here, own), "cores")
    cores = share_of_cores(own, [others for host, others in told if host == here])
    view = View(config.channels, config.scaling)
    ranks = 1 if config.balance == "equal" else world.size  # whose shares one may take
    most = Layout.of(stores[0], config.rank_batch * ranks, view).size
    with ExitStack() as started:
        feeders = None
        with collectives.agreeing("feeders"):
            try:
                if count := feeder_count(config, cores, gpu=gpu):
                    feeders = started.enter_context(Feeders(count, stores, most))
            except ConfigError as problem:
                if config.feeders is not None:
                    raise
                print(f"train: a thread makes the batches: {problem}", file=sys.stderr, flush=True)
        yield feeders


def feeder_count(config: TrainConfig, cores: int, *, gpu: bool) -> int:
    """Return how many processes make the batches of a rank that has so many cores.

    Where nobody says, a GPU gets all of them but one; a network on processors takes them itself, and a thread
    makes more chips than it learns from.
    """
    if config.feeders is not None:
        return config.feeders
    return min(max(0, (config.threads or cores) - 1), MOST_FEEDERS) if gpu else 0


def share_of_cores(own: Sequence[int], ranks: Sequence[Sequence[int]]) -> int:
    """Return how many of its `own` cores a rank has when the machine's `ranks` share what several may use.

    A batch system gives each rank cores of its own, a launcher gives all ranks the same ones.
    """
    users = Counter(core for cores in ranks for core in cores)
    return int(sum(Fraction(1, users[core]) for core in own))
