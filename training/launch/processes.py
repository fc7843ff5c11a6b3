"""The processes of ranks: each in a group of its own, its lines marked, gone when the launcher is gone."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from threading import Lock, Thread
from types import FrameType, TracebackType
from typing import IO, Final, Self

from labeling.errors import ConfigError

LOOK_S: Final = 0.1
"""Seconds between looks at processes."""

GRACE_S: Final = 5.0
"""Seconds between asking processes to end and ending them."""

LONGEST: Final = 1 << 16
"""Bytes after which a line without end is shown all the same."""

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_prctl = ctypes.CDLL(None, use_errno=True).prctl
_writing = Lock()


class Rank:
    """One process, and what it says."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], label: str) -> None:
        """Start it; ConfigError where that cannot be."""
        try:
            self._process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                process_group=0,  # what interrupts the job reaches a rank through the launcher only
                preexec_fn=_end_with_launcher,
            )
        except OSError as error:
            raise ConfigError(
                f"cannot start {command[0]}: {error.strerror}; name a program on PATH"
            ) from None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        mark = f"[{label}] ".encode()
        self._readers = [
            Thread(target=_pass_on, args=(self._process.stdout, sys.stdout, mark), daemon=True),
            Thread(target=_pass_on, args=(self._process.stderr, sys.stderr, mark), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def code(self) -> int | None:
        """Return its exit code as a shell gives it (128 + signal), when all it said is shown; else None."""
        code = self._process.poll()
        if code is None:
            return None
        for reader in self._readers:
            reader.join(LOOK_S)  # what it has started may hold its output open
        return code if code >= 0 else 128 - code

    def send(self, number: int) -> None:
        """Send a signal to it and all that it started."""
        if self._process.returncode is None:  # its number may be another's once it was waited for
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)


class Signals:
    """Notes SIGTERM and SIGINT while its block lasts, in the place of what they do; main thread only."""

    def __init__(self) -> None:
        self.noted: list[int] = []

    def __enter__(self) -> Self:
        numbers = (signal.SIGTERM, signal.SIGINT)
        self._before = {number: signal.signal(number, self._note) for number in numbers}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.noted.append(number)

    def passed_on(self, seen: int, send: Callable[[int], None]) -> int:
        """Send what was noted since `seen` signals; the second one ends at once. Returns what is seen now."""
        for index, number in enumerate(self.noted[seen:], seen):
            send(number if index == 0 else signal.SIGKILL)
            seen = index + 1
        return seen


def end(ranks: Iterable[Rank]) -> None:
    """End processes: asked first, and killed where they do not listen."""
    left = [rank for rank in ranks if rank.code() is None]
    for rank in left:
        rank.send(signal.SIGTERM)
    limit = time.monotonic() + GRACE_S
    while left and time.monotonic() < limit:
        time.sleep(LOOK_S)
        left = [rank for rank in left if rank.code() is None]
    for rank in left:
        rank.send(signal.SIGKILL)
    while any(rank.code() is None for rank in left):
        time.sleep(LOOK_S)


def _pass_on(source: IO[bytes], target: IO[str], mark: bytes) -> None:
    """Copy lines, each with the rank's mark before it and whole."""
    for line in iter(lambda: source.readline(LONGEST), b""):
        with _writing, suppress(BrokenPipeError):
            target.write((mark + line.rstrip(b"\n")).decode("utf-8", "replace") + "\n")
            target.flush()


def _end_with_launcher() -> None:
    """Have the kernel kill this process when the thread that started it ends: when the launcher is killed."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
