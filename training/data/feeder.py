"""A process that a rank starts and asks for chips, which it lays into memory of both; see feeders.py."""

from __future__ import annotations

import mmap
import pickle
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from multiprocessing.connection import Connection
from typing import TypeVar

import cv2
import numpy as np

from labeling.errors import ConfigError
from training.data.batch import Layout, make_batch
from training.data.feeders import Opening, Request, Shown

T = TypeVar("T")


def serve(rank: Connection, memory: int) -> None:
    """Answer requests, with nothing where all is well and with an error, until the rank is gone: EOFError."""
    opening: Opening = _heard(rank.recv)
    for split, handle in opening.kept.items():
        opening.stores[split].keep(handle)

    @cache
    def mapped(place: int) -> mmap.mmap:
        return mmap.mmap(memory, opening.piece, offset=place)

    shown: Shown
    while True:
        message = _heard(rank.recv_bytes)
        if not message:
            shown = _heard(rank.recv)
            continue
        request, store = Request.of(message), opening.stores[shown.split]
        layout = Layout.of(store, request.chips, shown.view)
        problem = b""
        try:
            batch = layout.over(np.frombuffer(mapped(request.place), np.uint8))
            make_batch(store, request.indices, shown.view, batch.part(request.first, len(request.indices)))
        except ConfigError as error:
            problem = pickle.dumps(error)
        with suppress(OSError):  # the rank is gone, as the next message says
            rank.send_bytes(problem)


def _heard(receive: Callable[[], T]) -> T:
    try:
        return receive()
    except OSError:  # it went in the middle of a message
        raise EOFError from None


def main() -> None:
    """Serve the rank at the other end of a pipe; the arguments are handles of the pipe and of the memory."""
    pipe, memory = map(int, sys.argv[1:])
    cv2.setNumThreads(1)  # there is a feeder for each core
    with suppress(EOFError):
        serve(Connection(pipe), memory)


if __name__ == "__main__":
    main()
