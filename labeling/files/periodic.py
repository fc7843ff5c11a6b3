"""Something done again and again, in a thread, while a block runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread


@contextmanager
def periodically(
    action: Callable[[Event], None], seconds: float, *, name: str, patience: float | None = None
) -> Iterator[None]:
    """Call `action` every `seconds` while the block runs, in a thread of that name.

    It must not raise. It is given an event that is set once the block has ended; by setting it the action is
    called no more. The end waits for an action under way, for at most `patience` seconds where that is given.
    """
    ended = Event()

    def repeat() -> None:
        while not ended.wait(seconds):
            action(ended)

    thread = Thread(target=repeat, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(patience)
