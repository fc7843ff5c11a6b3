"""Starts ranks on this machine that may be lost and are replaced; what the ranks do is training/elastic.py.

Horovod's own driver decides who meets whom. What it and its ranks would tell each other as pickles goes
through our rendezvous as numbers: a rank asks for its place (`rank_and_size`), and the first of them asks now
and then whether others have come (`news`, training/ranks/news.py). Horovod leaves out the whole host of a
process that died, so each rank is a host by itself to it.
"""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, Final, NamedTuple

from horovod.runner.common.util.hosts import SlotInfo
from horovod.runner.elastic.discovery import FixedHosts
from horovod.runner.elastic.driver import ElasticDriver

from labeling.errors import ConfigError
from training.launch.environment import rank_environment
from training.launch.processes import LOOK_S, Rank, Signals, end
from training.launch.rendezvous import Meeting, Rendezvous
from training.launch.store import Store
from training.ranks.gpus import VISIBLE, own_index, permitted, shown

NEWS: Final = "news"
"""Scope of the rendezvous that says how often others came or went, under a rank's `host:local rank`."""

GLOO_TIMEOUT_S: Final = 120
"""Seconds that those who meet wait for a rank that is only starting."""


class Cooldown(NamedTuple):
    """Seconds until a lost rank is replaced: doubled each time it is lost again."""

    least: float
    most: float


COOLDOWN: Final = Cooldown(5, 300)


def launch_elastic(
    command: Sequence[str], ranks: int, *, least: int = 1, cooldown: Cooldown | None = None
) -> int:
    """Run a command as `ranks` ranks of which `least` must be left, and return the exit code.

    ConfigError: cannot start.
    """
    logging.basicConfig(level=logging.ERROR, format="launch: %(message)s")  # the driver tells why it gives up
    news: Counter[str] = Counter()
    store = Store()
    store.answer(NEWS, lambda key: str(news[key]).encode())
    hosts = FixedHosts({f"rank-{number}": 1 for number in range(ranks)})
    with Signals() as signals, Rendezvous(store) as rendezvous:
        driver = _Driver(
            _Meetings(store),
            hosts,
            least,
            ranks,
            cooldown_range=tuple(cooldown or COOLDOWN),
            timeout=GLOO_TIMEOUT_S,
        )
        driver.news = news
        store.answer("rank_and_size", partial(_place, driver))
        workers = _Workers(command, rendezvous.meeting, signals)
        driver.start(ranks, workers.work)
        results = driver.get_results()
        driver.stop(results.error_message)
    codes = [code for code, _ in results.worker_results.values()] or workers.codes[-1:]
    failed = next(filter(None, codes), 1 if results.error_message or not codes else 0)
    if workers.problem:
        raise workers.problem
    return int(failed)


class _Driver(ElasticDriver):  # type: ignore[misc]  # no type information is published
    """Horovod's driver, with a box for news in the place of a service of each rank that unpickles."""

    news: Counter[str]

    def get_worker_client(self, slot_info: SlotInfo) -> _Box:
        return _Box(self.news, _name(slot_info))


class _Box(NamedTuple):
    """Where one rank finds news."""

    news: Counter[str]
    name: str

    def notify_hosts_updated(self, timestamp: int, result: Any) -> None:
        self.news[self.name] += 1


class _Meetings(NamedTuple):
    """What the driver wants of a rendezvous; ours is closed by its own block."""

    store: Store

    def init(self, plan: list[SlotInfo]) -> None:
        self.store.clear()

    def stop(self) -> None:
        """Do nothing."""


class _Workers:
    """Starts the ranks that the driver asks for, and stays with each."""

    def __init__(self, command: Sequence[str], meeting: Meeting, signals: Signals) -> None:
        self._command, self._meeting, self._signals = command, meeting, signals
        self.codes: list[int] = []
        """Exit codes, in the order of the ends."""
        self.problem: ConfigError | None = None

    def work(self, place: SlotInfo, events: Sequence[Event]) -> tuple[int, float]:
        """Run one rank in this thread until it ends, or an event of the driver's ends it."""
        try:
            code = self._run(place, events)
        except ConfigError as error:
            self.problem, code = error, 2
        self.codes.append(code)
        return code, time.time()

    def _run(self, place: SlotInfo, events: Sequence[Event]) -> int:
        environment = rank_environment(place, self._meeting) | {"HOROVOD_ELASTIC": "1"}
        environment.setdefault("HOROVOD_GLOO_TIMEOUT_SECONDS", str(GLOO_TIMEOUT_S))
        number = int(place.hostname.removeprefix("rank-"))
        rank, seen = Rank(self._command, environment | own_gpu(number), str(number)), 0
        while (code := rank.code()) is None:
            seen = self._signals.passed_on(seen, rank.send)
            if any(event.is_set() for event in events):
                end([rank])
            time.sleep(LOOK_S)
        return code


def own_gpu(number: int, variables: Mapping[str, str] = os.environ, root: Path = Path("/")) -> dict[str, str]:
    """Return what shows this rank one GPU: each is rank 0 of its host, and all would take the first.

    Those that find no other left share one, which a training refuses unless it goes without GPUs.
    """
    gpus = shown(variables)
    if gpus is None:
        gpus = [str(number) for number, _ in enumerate(permitted(root))]
    return {VISIBLE: gpus[own_index(len(gpus), number)]} if gpus else {}


def _place(driver: ElasticDriver, key: str) -> bytes | None:
    """Return the new place of a rank when all have come; it waits for them. None for one that is no rank."""
    host, _, local = key.rpartition(":")
    if not local.isdecimal() or not driver.has_rank_assignment(host, int(local)):
        return None
    driver.record_ready(host, int(local))
    return str(driver.get_slot_info(host, int(local)).to_response_string()).encode()


def _name(place: SlotInfo) -> str:
    return f"{place.hostname}:{place.local_rank}"
