"""Whether ranks came or went, asked of our launcher; takes the place of Horovod's service that unpickles."""

from __future__ import annotations

import os
import time
from http.client import HTTPException
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
            place = (
                _place()
            )  # once: Horovod's own later settings do not reach os.environ, and tests take theirs back
            self._seen = _told(place)
            Thread(target=self._ask, args=[place], daemon=True).start()

    def register_listener(self, listener: Any) -> None:
        """Call `listener.on_hosts_updated(timestamp, None)` when ranks came or went."""
        self._listeners.add(listener)

    def remove_listener(self, listener: Any) -> None:
        """Do so no more."""
        self._listeners.discard(listener)

    def _ask(self, place: str) -> None:
        while True:
            time.sleep(ASK_S)
            try:
                told = _told(place)
            except (OSError, HTTPException, ValueError):
                continue  # a launcher that goes, in the midst of an answer too, takes its ranks along
            if told != self._seen:
                self._seen = told
                for listener in list(self._listeners):
                    listener.on_hosts_updated(int(time.time()), None)


def _place() -> str:
    """Return where the launcher tells this rank its news."""
    name = f"{os.environ['HOROVOD_HOSTNAME']}:{os.environ['HOROVOD_LOCAL_RANK']}"
    root = f"{os.environ['HOROVOD_GLOO_RENDEZVOUS_ADDR']}:{os.environ['HOROVOD_GLOO_RENDEZVOUS_PORT']}"
    return f"http://{root}/news/{name}"


def _told(place: str) -> int:
    """Return how often the launcher has had news for this rank."""
    with _DIRECT.open(place, timeout=10) as answer:
        return int(answer.read(20))
