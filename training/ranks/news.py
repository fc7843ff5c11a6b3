"""Whether ranks came or went, asked of our launcher; takes the place of Horovod's service that unpickles."""

from __future__ import annotations

import os
import time
from threading import Thread
from typing import Any, Final
from urllib.request import ProxyHandler, build_opener

ASK_S: Final = 1.0
"""Seconds between questions; the launcher looks for ranks as often."""

_DIRECT = build_opener(ProxyHandler({}))  # whatever proxy the environment names: this is the job's own


class News:
    """Asks the launcher (training/launch/elastic.py) and tells listeners, in a thread of its own.

    Its methods are those that hvd.elastic.run wants of Horovod's WorkerNotificationManager.
    """

    def __init__(self) -> None:
        self._listeners: set[Any] = set()
        self._seen: int | None = None

    def init(self) -> None:
        """Begin to ask; what was news before this process came is none."""
        if self._seen is None:
            self._seen = _told()
            Thread(target=self._ask, daemon=True).start()

    def register_listener(self, listener: Any) -> None:
        """Call `listener.on_hosts_updated(timestamp, None)` when ranks came or went."""
        self._listeners.add(listener)

    def remove_listener(self, listener: Any) -> None:
        """Do so no more."""
        self._listeners.discard(listener)

    def _ask(self) -> None:
        while True:
            time.sleep(ASK_S)
            try:
                told = _told()
            except OSError:
                continue  # a launcher that has gone takes its ranks along
            if told != self._seen:
                self._seen = told
                for listener in list(self._listeners):
                    listener.on_hosts_updated(int(time.time()), None)


def _told() -> int:
    """Return how often the launcher has had news for this rank."""
    name = f"{os.environ['HOROVOD_HOSTNAME']}:{os.environ['HOROVOD_LOCAL_RANK']}"
    root = f"{os.environ['HOROVOD_GLOO_RENDEZVOUS_ADDR']}:{os.environ['HOROVOD_GLOO_RENDEZVOUS_PORT']}"
    with _DIRECT.open(f"http://{root}/news/{name}", timeout=10) as answer:
        return int(answer.read(20))
