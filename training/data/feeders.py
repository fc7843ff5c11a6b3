"""Processes that make a rank's batches, in memory that they share with it.

Threads of one process wait for each other wherever Python makes a batch, and hold up the training's own
loop; processes do not. A feeder gets requests and answers them in their order. It ends when its rank does,
however that ends, for then the pipe between them does; it hears no signal but SIGKILL, so that a rank which
was asked to end can finish its step.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import cycle, islice, pairwise
from multiprocessing import Pipe
from pathlib import Path
from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from labeling.chips.card import Split
from labeling.errors import ConfigError
from training.data.batch import Batch, Layout, View
from training.data.pieces import WITHOUT, Pieces
from training.data.sharding import Indices
from training.data.store import ChipStore

AHEAD: Final = 2
"""Batches made ready before they are asked for; by feeders so many for each of them, within MOST."""

MOST: Final = 256 << 20
"""Bytes of batches that feeders make ready; with larger ones several make each."""

WAIT_S: Final = 10.0
"""Seconds that feeders may take to end when their rank has left them."""

_ROOT: Final = Path(__file__).parents[2]


class Opening(NamedTuple):
    """What a feeder is told first."""

    stores: dict[Split, ChipStore]
    kept: dict[Split, int]
    """Handles of the files in which a split's chips are kept unpacked."""
    piece: int
    """Bytes of the shared memory that a batch may take."""


class Shown(NamedTuple):
    """What the requests that follow have in common; an empty message announces it."""

    split: Split
    view: View


class Request(NamedTuple):
    """Asks for chips of a batch, in int64 as they lie: to pickle it would cost the loop a tenth of a ms."""

    place: int
    """Where in the shared memory the batch begins, bytes."""
    chips: int
    """How many the whole batch has."""
    first: int
    """Which of them the first one asked for is."""
    indices: Indices

    def packed(self) -> bytes:
        """Return it as a message."""
        return np.concatenate([[self.place, self.chips, self.first], self.indices]).tobytes()

    @classmethod
    def of(cls, message: bytes) -> Self:
        """Return what `packed` made a message of."""
        place, chips, first, *_ = numbers = np.frombuffer(message, np.int64)
        return cls(int(place), int(chips), int(first), numbers[3:])


class Feeders:
    """Some processes for the chips of some splits; one generator of batches at a time."""

    def __init__(self, count: int, stores: Sequence[ChipStore], most: int) -> None:
        """Start them for batches of `most` bytes at most; ConfigError where that cannot be."""
        self._all: list[_Feeder] = []
        try:
            self._pieces = Pieces(most)
            kept = {store.split: handle for store in stores if (handle := store.kept_handle) is not None}
            for _ in range(count):
                self._all.append(_Feeder(self._pieces.handle, kept.values()))
        except BaseException as problem:
            self.close()
            if isinstance(problem, OSError):
                raise ConfigError(f"cannot start feeders ({problem.strerror}): {WITHOUT}") from None
            raise
        opening = Opening({store.split: store for store in stores}, kept, self._pieces.piece)
        for feeder in self._all:  # it listens in a second, when all have begun
            feeder.open(opening)
        self._turns = cycle(self._all)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._all)

    def close(self) -> None:
        """End them."""
        for feeder in self._all:
            feeder.leave()
        limit = time.monotonic() + WAIT_S
        for feeder in self._all:
            feeder.end(max(0.0, limit - time.monotonic()))

    def made(self, store: ChipStore, plan: Indices, view: View) -> Generator[Batch]:
        """Yield the batches of a plan (steps, B); each one's memory is used anew when nothing holds it.

        ConfigError when a chip cannot be read, or a feeder has died; RuntimeError before another plan's
        generator is closed.
        """
        if any(feeder.owes for feeder in self._all):
            raise RuntimeError("the batches of another plan are still being made")
        layout = Layout.of(store, plan.shape[1], view)
        parts = _parts(layout.size, len(self._all))
        rows = iter(plan)
        bounds = np.linspace(0, plan.shape[1], parts + 1).astype(int).tolist()
        asked: deque[tuple[NDArray[np.uint8], list[_Feeder]]] = deque()

        def ask(more: int) -> None:
            for indices in islice(rows, more):
                place, memory = self._pieces.take(layout.size)
                asked.append((memory, list(islice(self._turns, parts))))
                for feeder, (first, end) in zip(asked[-1][1], pairwise(bounds), strict=True):
                    feeder.ask(Request(place, len(indices), first, indices[first:end]))

        for feeder in self._all:
            feeder.show(Shown(store.split, view))
        try:
            ask(_ahead(parts, len(self._all)))
            while asked:
                memory, feeders = asked.popleft()
                for feeder in feeders:
                    feeder.hear()
                ask(1)
                yield layout.over(memory)
        except (GeneratorExit, ConfigError):
            for feeder in self._all:
                feeder.settle()
            raise
        except BaseException:
            self.close()  # an answer may be half read
            raise


def _parts(size: int, feeders: int) -> int:
    """Return into how many parts a batch of `size` bytes is shared out: as few as memory allows."""
    possible = range(1, feeders + 1)
    return next((parts for parts in possible if _ahead(parts, feeders) * size <= MOST), feeders)


def _ahead(parts: int, feeders: int) -> int:
    return -(-AHEAD * feeders // parts)


class _Feeder:
    """One process, as its rank sees it."""

    def __init__(self, memory: int, kept: Iterable[int]) -> None:
        self._rank, theirs = Pipe()
        self.owes = 0
        """Answers."""
        paths = (str(_ROOT), os.environ.get("PYTHONPATH"))
        program = ["-P", "-m", "training.data.feeder"]  # -P: nothing in the working folder comes first
        with _unheard(), theirs:
            self._process = subprocess.Popen(
                [sys.executable, *program, str(theirs.fileno()), str(memory)],
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), memory, *kept),
            )

    def leave(self) -> None:
        """Let it end."""
        self._rank.close()
        self.owes = 0

    def end(self, seconds: float) -> None:
        """Wait until it has, when it has made what it was asked for; kill it after so many seconds."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def open(self, opening: Opening) -> None:
        """Tell what all plans have in common; if the feeder is gone, `hear` says so."""
        with suppress(OSError):
            self._rank.send(opening)

    def show(self, shown: Shown) -> None:
        """Tell what the requests that follow have in common, likewise."""
        with suppress(OSError):
            self._rank.send_bytes(b"")
            self._rank.send(shown)

    def ask(self, request: Request) -> None:
        """Send a request, likewise."""
        self.owes += 1
        with suppress(OSError):
            self._rank.send_bytes(request.packed())

    def hear(self) -> None:
        """Wait for the answer to the earliest request that has none; ConfigError as `made` has it."""
        try:
            problem = self._rank.recv_bytes()
        except (EOFError, OSError):
            self.owes = 0
            raise ConfigError(self._end()) from None
        self.owes -= 1
        if problem:
            raise pickle.loads(problem)

    def settle(self) -> None:
        """Wait for all answers that are owed, whatever they are."""
        while self.owes:
            with suppress(ConfigError):
                self.hear()

    def _end(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(WAIT_S)
        code = self._process.returncode
        if code is None:
            how = "has closed its pipe"
        elif code >= 0:
            how = f"ended with exit code {code}"
        else:
            memory = ", for want of memory perhaps" if -code in (signal.SIGKILL, signal.SIGBUS) else ""
            how = f"was ended by signal {-code} ({signal.strsignal(-code)}){memory}"
        return (
            f"a feeder, which makes batches (pid {self._process.pid}), {how}: set `feeders` lower, or "
            "`feeders: 0`, and a thread makes them; go on with --resume"
        )


@contextmanager
def _unheard() -> Iterator[None]:
    """Let no process that this thread starts in the block ever hear of a signal, but SIGKILL and SIGSTOP."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
