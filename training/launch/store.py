"""What ranks tell each other before they are connected: values by scope and key. Pure, but for its lock.

Each rank puts its addresses under its number, reads those of the others, and says with a delete that it has
all it needs. When all who put something in a scope have said so, the scope is empty again for a next meeting.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus
from threading import Lock
from typing import Final

VALUE_BYTES: Final = 1 << 20
"""Most that one value may hold; Gloo's addresses of 1000 ranks are a tenth of it."""

ALL_BYTES: Final = 64 << 20
"""Most that all values together may hold, names included."""

NAME: Final = re.compile(r"[\w.:-]{1,255}", re.ASCII)
"""What a scope or key may be: Horovod's have hosts' names and numbers."""

Answer = Callable[[str], bytes | None]
"""Makes the value of a key when it is asked for; None where there is none."""


class Store:
    """Values that are written once; every method may be called from any thread."""

    def __init__(self) -> None:
        """Begin empty."""
        self._answers: dict[str, Answer] = {}
        self._values: dict[str, dict[str, bytes]] = {}
        self._read: dict[str, set[str]] = {}
        self._bytes = 0
        self._lock = Lock()

    def answer(self, scope: str, answer: Answer) -> None:
        """Have a function answer for a scope, in which nobody can write then."""
        self._answers[scope] = answer

    def put(self, scope: str, key: str, value: bytes) -> HTTPStatus:
        """Keep a value. The same again is fine; another for the key is a CONFLICT and changes nothing."""
        if scope in self._answers or not (NAME.fullmatch(scope) and NAME.fullmatch(key)):
            return HTTPStatus.FORBIDDEN
        size = len(value) + len(scope) + len(key)
        with self._lock:
            found = self._values.get(scope, {}).get(key)
            if found is not None:
                return HTTPStatus.OK if found == value else HTTPStatus.CONFLICT
            if len(value) > VALUE_BYTES or self._bytes + size > ALL_BYTES:
                return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            self._values.setdefault(scope, {})[key] = value
            self._bytes += size
        return HTTPStatus.OK

    def get(self, scope: str, key: str) -> bytes | None:
        """Return a value, or None where nobody has put it yet."""
        if answer := self._answers.get(scope):
            return answer(key)  # may wait for other ranks, so not under the lock
        with self._lock:
            return self._values.get(scope, {}).get(key)

    def leave(self, scope: str, key: str) -> None:
        """Note that the rank which put `key` needs the scope no more; the last one empties it."""
        with self._lock:
            values = self._values.get(scope)
            if values is None or key not in values:
                return
            read = self._read.setdefault(scope, set())
            read.add(key)
            if read == values.keys():
                self._forget(scope)

    def clear(self) -> None:
        """Forget all values: the ranks meet anew."""
        with self._lock:
            for scope in list(self._values):
                self._forget(scope)

    def _forget(self, scope: str) -> None:
        gone = self._values.pop(scope)
        self._bytes -= sum(len(value) + len(scope) + len(key) for key, value in gone.items())
        self._read.pop(scope, None)
