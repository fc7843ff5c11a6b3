"""A process that a rank starts and asks for chips, which it lays into memory of both; see feeders.py."""

from __future__ import annotations

import mmap
import pickle
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache, lru_cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from labeling.errors import ConfigError
from training.data.batch import Layout, make_batch
from training.data.feeders import Answer, Opening, Request, Shown


def serve(rank: Connection, memory: int) -> None:
    """Answer requests until the rank is gone."""
    heard = _heard(rank)
    opening: Opening | None = next(heard, None)
    if opening is None:
        return
    for split, handle in opening.kept.items():
        with suppress(OSError):
            opening.stores[split].keep(Path(f"/proc/self/fd/{handle}"))

    @cache
    def mapped(place: int) -> mmap.mmap:
        return mmap.mmap(memory, opening.piece, offset=place)

    @lru_cache(1)
    def shown(text: bytes) -> Shown:
        found: Shown = pickle.loads(text)
        return found

    stores = opening.stores
    request: Request
    for request in heard:
        answer: Answer = None
        try:
            split, view = shown(request.shown)
            layout = Layout.of(stores[split], request.chips, view)
            whole = layout.over(np.frombuffer(mapped(request.place), np.uint8))
            part = whole.part(request.first, len(request.indices))
            make_batch(stores[split], request.indices, view, part)
        except ConfigError as error:
            answer = error
        with suppress(BrokenPipeError, ConnectionResetError):
            rank.send(answer)


def _heard(rank: Connection) -> Iterator[Any]:
    with suppress(EOFError, ConnectionResetError):
        while True:
            yield rank.recv()


def main() -> None:
    """Serve the rank at the other end of a pipe; the arguments are handles of the pipe and of the memory."""
    pipe, memory = map(int, sys.argv[1:])
    cv2.setNumThreads(1)  # there is a feeder for each core
    serve(Connection(pipe), memory)


if __name__ == "__main__":
    main()
