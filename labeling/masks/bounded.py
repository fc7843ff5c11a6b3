"""Work on shapes from files of strangers, in a process of its own, within so much time and memory.

Edges between a few thousand points can cross a hundred million times, a database can hold a view without end,
and no library asks whether anybody still wants the answer. A process can be ended.
"""

from __future__ import annotations

import ctypes
import pickle
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, TypeVar

from labeling.errors import ConfigError

T = TypeVar("T")

SECONDS: Final = 300.0
"""How long shapes may take; those of the Antarctic coast (ADD, high resolution) take some seconds."""
MEMORY: Final = 1 << 30
"""Bytes that shapes may take beyond what the process has."""
_PARENT_DIED: Final = 1
"""Linux's PR_SET_PDEATHSIG."""


def bounded(
    work: Callable[[], T], what: str, *, seconds: float | None = None, memory: int | None = None
) -> T:
    """Return what `work` returns, or raise what it raises; what it returns crosses to this process by pickle.

    ConfigError, which calls the file `what`, when it takes longer than `seconds` or more than `memory` bytes:
    where they are None, SECONDS and MEMORY.
    """
    seconds, memory = seconds or SECONDS, memory or MEMORY
    try:
        found: T = _in_fork(work, what, seconds, memory)
    except _DiedError:
        # What other libraries left in this process can break a fork of it: once more, with nothing of that.
        found = _in_new_process(work, what, seconds, memory)
    return found


class _DiedError(Exception):
    """A process ended without an answer."""


def _in_fork(work: Callable[[], Any], what: str, seconds: float, memory: int) -> Any:
    # A fork imports nothing again, and no other thread of ours is ever inside of libraries for vector files.
    context = get_context("fork")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(work, there, memory), daemon=True)
    process.start()
    there.close()
    try:
        if not here.poll(seconds):
            raise _late(what, seconds)
        answer = here.recv()
    except EOFError:
        raise _DiedError from None
    finally:
        process.kill()
        process.join()
        here.close()
    return _told(answer, what, memory)


def _in_new_process(work: Callable[[], Any], what: str, seconds: float, memory: int) -> Any:
    died = ConfigError(f"{what} ended the process that read it. {_WAY_OUT}")
    try:
        given = pickle.dumps(sys.path) + pickle.dumps((work, memory))
    except (pickle.PicklingError, AttributeError):
        raise died from None
    with subprocess.Popen(
        [sys.executable, "-c", _NEW], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            found, _ = process.communicate(given, timeout=seconds)
        except subprocess.TimeoutExpired:
            raise _late(what, seconds) from None
        finally:
            process.kill()
    if not found:
        raise died
    return _told(
        pickle.loads(found), what, memory
    )  # of our own process: what it answers is what we told it to


_NEW: Final = """
import pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
from labeling.masks.bounded import _answer_of
work, memory = pickle.load(sys.stdin.buffer)
sys.stdout.buffer.write(pickle.dumps(_answer_of(work, memory)))
"""


def _late(what: str, seconds: float) -> ConfigError:
    return ConfigError(f"{what} was given up after {seconds:g} seconds. {_WAY_OUT}")


def _told(answer: tuple[bool, Any], what: str, memory: int) -> Any:
    """Return what work returned, or raise what it raised."""
    good, found = answer
    if isinstance(found, MemoryError):
        raise ConfigError(f"{what} takes more than {memory >> 20} MiB of memory. {_WAY_OUT}")
    if good:
        return found
    raise found


_WAY_OUT: Final = (
    "Its shapes are too many, cross themselves without end, or were made to do harm. Save what lies near the "
    "scenes to a new file, simplified and mended, for example in QGIS with Fix Geometries and Simplify."
)


def _answer(work: Callable[[], Any], there: Connection, memory: int) -> None:
    there.send(_answer_of(work, memory))


def _answer_of(work: Callable[[], Any], memory: int) -> tuple[bool, Any]:
    """Do the work in the process that is limited; return whether it came to an end, and what came."""
    with suppress(OSError):  # elsewhere than on Linux it only ends with its own limits
        ctypes.CDLL(None).prctl(_PARENT_DIED, signal.SIGKILL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    pages = (
        int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else None
    )
    if pages is not None:
        most = pages * resource.getpagesize() + memory
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    try:
        return True, work()
    except Exception as problem:
        full = isinstance(problem, MemoryError) or "bad_alloc" in str(problem)
        return False, MemoryError() if full else problem
