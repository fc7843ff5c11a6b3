"""A process that opens files and is watched: how it ends, how long it takes, and where it writes."""

from __future__ import annotations

import os
import resource
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import psutil

from labeling.errors import PolynyaError

MEMORY: Final = 8 << 30
"""Address space of the process, bytes: what asks for more ends with a finding and not with the machine."""

ASLEEP: Final = 6
"""How many times as long what waits may take as what works."""

_WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_CHANGES: Final = ("os.mkdir", "os.rename", "os.link", "os.symlink", "os.truncate", "os.remove", "os.rmdir")


class Outcome(NamedTuple):
    """What became of one input."""

    kind: Literal["opened", "refused", "finding"]
    why: str = ""


class Watched:
    """Opens files in a process of its own, begun again after it was lost; a context manager."""

    def __init__(self, openers: dict[str, Callable[[], object]], inside: Path, seconds: float) -> None:
        """`openers` may write below `inside` only, and take `seconds` each.

        That is time on a processor, or ASLEEP times as long beside the clock: on a busy machine work of a
        second may last for a minute.
        """
        self._openers, self._inside, self._seconds = openers, inside, seconds
        # Relative names and temporary files of libraries, which no hook sees, land here.
        self._beside = inside.parent / "beside"
        self._beside.mkdir()
        self._begin()

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def open(self, name: str) -> Outcome:
        """Open with the opener of that name, and say how it ended."""
        self._here.send(name)
        try:
            if self._answers():
                outcome = Outcome(*self._here.recv())
            else:
                outcome = self._lost(f"took longer than {self._seconds:g} s")
        except (EOFError, ConnectionResetError):
            self._process.join()
            outcome = self._lost(f"ended the process (exit code {self._process.exitcode})")
        if left := [*self._beside.rglob("*")]:
            self._end()
            for path in sorted(left, reverse=True):
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
            outcome = self._lost(f"wrote outside of its folder: {', '.join(map(str, left))}")
        return outcome

    def _answers(self) -> bool:
        """Wait for an answer; False when it takes too long."""
        before = self._worked()
        for _ in range(ASLEEP):
            if self._here.poll(self._seconds):
                return True
            if self._worked() - before >= self._seconds:
                return False
        return False

    def _worked(self) -> float:
        """Return how long the process and its children were on a processor, seconds."""
        total = 0.0
        with suppress(psutil.Error):
            process = psutil.Process(self._process.pid)
            for each in (process, *process.children(recursive=True)):
                with suppress(psutil.Error):  # a child that has just ended
                    total += sum(each.cpu_times()[:2])
        return total

    def _begin(self) -> None:
        # Forked, so that openers need not be pickled; not a daemon, for a daemon may have no children.
        context = get_context("fork")
        self._here, there = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(self._openers, there, self._here, self._inside, self._beside)
        )
        self._process.start()
        there.close()

    def _end(self) -> None:
        self._here.close()
        self._process.kill()
        self._process.join()

    def _lost(self, why: str) -> Outcome:
        self._end()
        self._begin()
        return Outcome("finding", why)


def _serve(
    openers: dict[str, Callable[[], object]], there: Connection, here: Connection, inside: Path, beside: Path
) -> None:
    here.close()
    os.chdir(beside)
    os.environ["TMPDIR"] = os.environ["CPL_TMPDIR"] = str(beside)
    sys.dont_write_bytecode = True
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.RLIM_INFINITY))
    outside: list[str] = []
    sys.addaudithook(_hook(inside, outside))
    with suppress(EOFError):
        while True:
            outcome = _open(openers[there.recv()])
            if outside:
                outcome = Outcome("finding", f"wrote outside of its folder: {', '.join(outside)}")
                outside.clear()
            there.send(tuple(outcome))


def _hook(inside: Path, outside: list[str]) -> Callable[[str, tuple[Any, ...]], None]:
    """Return an audit hook that notes, and stops, what Python would change outside of a folder."""

    def stop(event: str, told: tuple[Any, ...]) -> None:
        writes = event == "open" and isinstance(told[2], int) and told[2] & _WRITES
        if not writes and event not in _CHANGES:
            return
        # What is linked to or moved is outside too; of an `open`, only the first is a path.
        for path in told[:1] if event == "open" else told[:2]:
            if not isinstance(path, str | bytes | os.PathLike):
                continue
            where = os.path.realpath(os.fsdecode(path))
            if not where.startswith((f"{inside}/", "/dev/")):
                outside.append(where)
                raise PermissionError(f"{event} of {where}, outside of {inside}")

    return stop


def _open(opener: Callable[[], object]) -> Outcome:
    try:
        opener()
    except PolynyaError as error:
        try:
            str(error).encode()
        except UnicodeEncodeError as unwritable:
            return Outcome("finding", f"a message that cannot be written: {unwritable}")
        return Outcome("refused", str(error))
    except BaseException:  # SystemExit and the like would end a job as well
        return Outcome("finding", traceback.format_exc())
    return Outcome("opened")
