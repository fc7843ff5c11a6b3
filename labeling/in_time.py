"""Work that is given up after a while, whatever it waits for: a pipe, a server, a loop inside a library.

Python acts on signals in its main thread, between two of its own instructions; a library that waits in there
could neither be given up nor ended by SIGTERM. So such work is done by a thread beside, and who waits for it
can always leave.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Event, Thread
from typing import Final, TypeVar

T = TypeVar("T")

_given_up: Final[list[Thread]] = []


class LateError(Exception):
    """Work took longer than it may."""


def in_time(work: Callable[[], T], seconds: float | None = None) -> T:
    """Return what `work` returns, or raise what it raises; LateError when it takes longer than `seconds`.

    None is as long as it takes, or until a signal ends the wait.

    Work that is given up goes on in its thread until what it waits for ends by itself, and its result is
    dropped. It must not need the main thread, nor anything that the caller closes.
    """
    future: Future[T] = Future()
    ended = Event()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as problem:  # the caller's to look at
            future.set_exception(problem)
        ended.set()

    thread = Thread(target=run, name="work with a time limit", daemon=True)
    _given_up.append(thread)  # so is work whose caller is interrupted
    thread.start()
    if not ended.wait(seconds):
        raise LateError
    _given_up.remove(thread)
    return future.result()


def still_waiting() -> bool:
    """Tell whether work that was given up goes on: then this process cannot end in the usual way.

    Libraries close down when a process ends, and those threads are inside of them.
    """
    return any(thread.is_alive() for thread in _given_up)
