"""Work on shapes from files of strangers, in a process of its own, within so much time and memory.

Edges between a few thousand points can cross a hundred million times, a database can hold a view without end,
and no library asks whether anybody still wants the answer. A process can be ended.
"""

from __future__ import annotations

import ctypes
import resource
import signal
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
    # A fork imports nothing again, and no other thread of ours is ever inside of libraries for vector files.
    context = get_context("fork")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(work, there, memory), daemon=True)
    process.start()
    there.close()
    try:
        if not here.poll(seconds):
            raise ConfigError(f"{what} was given up after {seconds:g} seconds. {_WAY_OUT}")
        good, found = here.recv()
    except EOFError:
        raise ConfigError(f"{what} ended the process that read it. {_WAY_OUT}") from None
    finally:
        process.kill()
        process.join()
        here.close()
    if isinstance(found, MemoryError):
        raise ConfigError(f"{what} takes more than {memory >> 20} MiB of memory. {_WAY_OUT}")
    if good:
        return found  # type: ignore[no-any-return]
    raise found


_WAY_OUT: Final = (
    "Its shapes are too many, cross themselves without end, or were made to do harm. Save what lies near the "
    "scenes to a new file, simplified and mended, for example in QGIS with Fix Geometries and Simplify."
)


def _answer(work: Callable[[], Any], there: Connection, memory: int) -> None:
    """Do the work in the process that is limited."""
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
        answer = (True, work())
    except Exception as problem:
        full = isinstance(problem, MemoryError) or "bad_alloc" in str(problem)
        answer = (False, MemoryError() if full else problem)
    there.send(answer)
