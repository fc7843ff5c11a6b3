"""A process that a rank starts and asks for chips, which it lays into memory of both; see feeders.py."""

from __future__ import annotations

import mmap
import pickle
import sys
from contextlib import suppress
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import numpy as np

from labeling.errors import ConfigError
from training.data.batch import Layout, make_batch
from training.data.feeders import Opening, Request, Shown


def serve(rank: Connection, memory: int) -> None:
    """Answer requests, with nothing where all is well and with an error, until the rank is gone: EOFError."""
    opening: Opening = rank.recv()
    for split, handle in opening.kept.items():
        with suppress(OSError):
            opening.stores[split].keep(Path(f"/proc/self/fd/{handle}"))

    @cache
    def mapped(place: int) -> mmap.mmap:
        return mmap.mmap(memory, opening.piece, offset=place)

    shown: Shown
    while True:
        message = rank.recv_bytes()
        if not message:
            shown = rank.recv()
            continue
        request, store = Request.of(message), opening.stores[shown.split]
        layout = Layout.of(store, request.chips, shown.view)
        batch = layout.over(np.frombuffer(mapped(request.place), np.uint8))
        problem = b""
        try:
            make_batch(store, request.indices, shown.view, batch.part(request.first, len(request.indices)))
        except ConfigError as error:
            problem = pickle.dumps(error)
        rank.send_bytes(problem)


def main() -> None:
    """Serve the rank at the other end of a pipe; the arguments are handles of the pipe and of the memory."""
    pipe, memory = map(int, sys.argv[1:])
    cv2.setNumThreads(1)  # there is a feeder for each core
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        serve(Connection(pipe), memory)


if __name__ == "__main__":
    main()
