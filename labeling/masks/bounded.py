"""Work on shapes from files of strangers, in a process of its own, within so much time and memory.

Edges between a few thousand points can cross a hundred million times, a database can hold a view without end,
and no library asks whether anybody still wants the answer. A process can be ended.

Each work is done by a fork of a helper, which has the libraries loaded and never uses them: a fork of a
process that does may find them in any state. The helper starts at a process's first work, and ends with it.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock
from typing import Any, Final, TypeVar

from labeling.errors import ConfigError

T = TypeVar("T")

SECONDS: Final = 300.0
"""How long shapes may take; those of the Antarctic coast (ADD, high resolution) take some seconds."""
MEMORY: Final = 1 << 30
"""Bytes that shapes may take beyond what the helper has."""
_PARENT_DIED: Final = 1
"""Linux's PR_SET_PDEATHSIG."""
_WAY_OUT: Final = (
    "Its shapes are too many, cross themselves without end, or were made to do harm. Save what lies near the "
    "scenes to a new file, simplified and mended, for example in QGIS with Fix Geometries and Simplify."
)
_lock: Final = Lock()
_helpers: Final[dict[int, socket.socket]] = {}
"""By process, because a fork of ours must not use its parent's: how the helper is asked."""


def bounded(
    work: Callable[[], T], what: str, *, seconds: float | None = None, memory: int | None = None
) -> T:
    """Return what `work` returns, or raise what it raises; both cross between processes by pickle.

    ConfigError, which calls the file `what`, when it takes longer than `seconds` or more than `memory` bytes:
    where they are None, SECONDS and MEMORY.
    """
    seconds, memory = seconds or SECONDS, memory or MEMORY
    with _asked(getattr(getattr(work, "func", work), "__module__", __name__)) as link:
        process: int = link.recv()
        try:
            link.send_bytes(pickle.dumps((work, memory)))
            if not link.poll(seconds):
                raise ConfigError(f"{what} was given up after {seconds:g} seconds. {_WAY_OUT}")
            good, found = link.recv()
        except (EOFError, ConnectionError):
            raise ConfigError(f"{what} ended the process that read it. {_WAY_OUT}") from None
        finally:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
    if isinstance(found, MemoryError):
        raise ConfigError(f"{what} takes more than {memory >> 20} MiB of memory. {_WAY_OUT}")
    if good:
        return found  # type: ignore[no-any-return]
    raise found


def _asked(module: str) -> Connection:
    """Let the helper fork; return the connection to the new process, which begins with its number.

    A helper that starts loads the `module`, and what that needs.
    """
    ours, theirs = socket.socketpair()
    with _lock, theirs:
        try:
            socket.send_fds(_helper(module), [b"\0"], [theirs.fileno()])
        except OSError:  # somebody has ended it
            _helpers.pop(os.getpid()).close()
            socket.send_fds(_helper(module), [b"\0"], [theirs.fileno()])
    return Connection(ours.detach())


def _helper(module: str) -> socket.socket:
    if os.getpid() not in _helpers:
        ours, theirs = socket.socketpair()
        with theirs:
            subprocess.Popen(
                [sys.executable, "-m", "labeling.masks.bounded", str(theirs.fileno()), module],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            ).returncode = 0  # it ends when nobody can ask it any more, and nobody waits for that
        _helpers[os.getpid()] = ours
    return _helpers[os.getpid()]


def _help(asked: socket.socket) -> None:
    """Fork for each work that is asked for, until nobody is there to ask."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the job's to answer
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries forks
    while True:
        message, descriptors, _, _ = socket.recv_fds(asked, 1, 1)
        if not message:
            return
        if os.fork() == 0:
            _answer(Connection(descriptors[0]))
            os._exit(0)
        os.close(descriptors[0])


def _answer(link: Connection) -> None:
    """Do the work in the process that is limited."""
    with suppress(OSError, AttributeError):  # elsewhere than on Linux it only ends with its own limits
        ctypes.CDLL(None).prctl(_PARENT_DIED, signal.SIGKILL)
    link.send(os.getpid())
    work, memory = pickle.loads(link.recv_bytes())
    with suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + memory
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    answer: tuple[bool, Any]
    try:
        answer = (True, work())
    except Exception as problem:
        full = isinstance(problem, MemoryError) or "bad_alloc" in str(problem)
        answer = (False, MemoryError() if full else problem)
    link.send(answer)


if __name__ == "__main__":
    import_module(sys.argv[2])
    _help(socket.socket(fileno=int(sys.argv[1])))
