"""Looks at what very many scenes have left, in folders here or in a bucket."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from labeling.files.storage import AnyPath
from pipelines.many.batches import batches

T = TypeVar("T")
V = TypeVar("V")

_AT_ONCE: Final = 32
"""Questions to a server at a time; each waits tens of milliseconds for its answer."""

_ASKED: Final = 1024
"""Scenes whose answers are kept until they are taken."""


def of_each(look: Callable[[T], V], things: Iterable[T], folder: AnyPath) -> Iterator[tuple[T, V]]:
    """Yield things with what `look` returns for them, in their order; what lies in a bucket many at a time.

    Files of this machine are looked at one after the other: that takes Python's time and not the disk's.
    """
    if isinstance(folder, Path):
        yield from ((thing, look(thing)) for thing in things)
        return
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for some in batches(things, _ASKED):
            yield from zip(some, pool.map(look, some), strict=True)
