"""One job at a time in a folder: a lock that outlives no job, wherever that job ran and however it ended.

    with run_lock(run, "label"):
        …

  RUN/.lock           who works in the folder: job, host, process, since when; touched every 15 seconds
  RUN/.lock.<token>   who took over from the holder of that token

There is one lock a run, not one a job kind. Labelling and mapping write different folders, but both read
failures.jsonl and write it anew, and a map gets its scene's id from the catalogue that labelling is writing:
side by side they would lose each other's lines, and share the same cores anyway. A training has a folder of
its own, and may lock that. What only reads needs no lock.

All rests on one operation: creating a file that must not exist, which is atomic on local disks and on NFS,
where flock is not to be relied on. Nobody removes or replaces a lock that might be somebody else's. Whoever
finds a stale lock creates its successor, named by the stale lock's token; a token is never used twice, so of
all who find the same stale lock one succeeds. The holder is the last of this chain. It leaves by becoming its
own successor, so that nobody else can, and removes the chain, `.lock` first: whoever still looks at an older
part of the chain sees by `.lock` that it is the chain no longer, and starts again.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import Final, NamedTuple
from uuid import uuid4

from labeling.errors import ConfigError
from labeling.files.layout import Run
from labeling.files.locks.holder import Holder, introduce
from labeling.files.periodic import periodically

LOCK: Final = ".lock"

BEAT: Final = 15.0
"""Seconds between two touches of the lock."""

SILENT: Final = 300.0
"""Seconds without a touch after which a job that cannot be looked at from here is taken for dead."""

_log = logging.getLogger("polynya.lock")


class Held(NamedTuple):
    """A lock that is ours."""

    file: Path
    root: Holder
    """Content of `.lock`: ours, or of the stale lock that a chain of successors up to ours began with."""
    mine: Holder


@contextmanager
def run_lock(run: Run, job: str) -> Iterator[None]:
    """Hold a run folder while the block runs; ConfigError, naming the other job, where one works in it."""
    if isinstance(run.root, Path):
        with folder_lock(run.root, job):
            yield
        return
    from labeling.files.locks.bucket import bucket_lock  # only here: it brings the client of object stores

    with bucket_lock(run.root, job, name=LOCK, beat=BEAT, silent=SILENT):
        yield


@contextmanager
def folder_lock(folder: Path, job: str, *, heir_of: str | None = None) -> Iterator[str]:
    """Hold a folder, which must exist, while the block runs, and give the lock's token; errors as `run_lock`.

    A job of several processes that lost the one with the lock goes on at once in another: a lock whose token
    is `heir_of` is taken over although its holder may seem to live.
    """
    held = acquire(folder, introduce(job), heir_of=heir_of)
    try:
        with _beating(held.file):
            yield held.mine.token
    finally:
        release(folder, held)


def acquire(folder: Path, mine: Holder, *, heir_of: str | None = None) -> Held:
    """Become the last of the folder's chain; ConfigError, naming its last, while that one lives.

    The one with the token `heir_of` counts as dead.
    """
    root = folder / LOCK
    while True:
        file, chain = root, [mine]
        while not _create(file, mine):
            holder = _read(file)
            if holder is None:  # it left at this moment
                break
            successor = _successor(folder, holder)
            dead = holder.token == heir_of
            if not dead and not successor.exists() and _lives(holder, file):
                raise ConfigError(_refusal(folder, holder, file))
            chain.insert(-1, holder)
            file = successor
        else:
            # The chain may have been removed, and another begun, before our file was there.
            if _read(root) == chain[0]:
                for stale in chain[-2:-1]:
                    _log.warning("took %s over from %s, which ended without a word", folder, stale)
                return Held(file, chain[0], mine)
            file.unlink(missing_ok=True)


def release(folder: Path, held: Held) -> None:
    """Remove the chain that ends with us; one that goes on after us is another's, and stays."""
    root, end = folder / LOCK, _successor(folder, held.mine)
    # The job is done. Where this fails, the lock of an ended process stays, and the next job takes it over.
    with suppress(OSError):
        ours = _create(end, held.mine.model_copy(update={"token": uuid4().hex}))
        if ours and _read(root) == held.root:
            links = list(folder.glob(f"{LOCK}.*"))
            for file in [root, *links]:
                file.unlink(missing_ok=True)
            return
        _log.warning("the lock on %s was taken from %s: check what both jobs wrote", folder, held.mine)
        if ours:  # somebody deleted the lock by hand
            end.unlink(missing_ok=True)


def _create(file: Path, holder: Holder) -> bool:
    """Write a file that must not exist; False when it does. It is there before its content is."""
    try:
        stream = file.open("x", encoding="utf-8")
    except FileExistsError:
        return False
    try:
        with stream:
            stream.write(holder.model_dump_json(indent=2) + "\n")
    except OSError:
        file.unlink(missing_ok=True)
        raise
    return True


def _read(file: Path) -> Holder | None:
    """Return a lock's holder, None when the file is gone; an unknown one when it cannot be read."""
    for _ in range(20):
        try:
            return Holder.model_validate_json(file.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError:
            time.sleep(0.05)  # it is being written
    with suppress(FileNotFoundError):
        return Holder(token=f"{file.stat().st_mtime_ns:032x}")
    return None


def _successor(folder: Path, holder: Holder) -> Path:
    return folder / f"{LOCK}.{holder.token}"


def _lives(holder: Holder, file: Path) -> bool:
    """Tell whether a job is still there: by its process or, where we cannot look at that, by its touches."""
    runs = holder.runs()
    return _silence(file) < SILENT if runs is None else runs


def _silence(file: Path) -> float:
    """Return seconds since a lock was touched, by the clock its own time is from: the file server's."""
    probe = file.with_name(f".{uuid4().hex}")
    try:
        probe.touch()
        return probe.stat().st_mtime - file.stat().st_mtime
    except FileNotFoundError:
        return math.inf
    finally:
        probe.unlink(missing_ok=True)


@contextmanager
def _beating(file: Path) -> Iterator[None]:
    """Touch a lock while the block runs."""
    # By descriptor: this name may be another's file by now, if we were taken for dead.
    descriptor = os.open(file, os.O_RDONLY)

    def beat(_: Event) -> None:
        with suppress(OSError):  # a file server that hiccups is no reason to stop
            os.utime(descriptor)

    try:
        with periodically(beat, BEAT, name="lock heartbeat"):
            yield
    finally:
        os.close(descriptor)


def _refusal(folder: Path, holder: Holder, file: Path) -> str:
    return (
        f"{folder} is in use by {holder}: {holder.command}. Wait for it, stop it, or choose another folder. "
        f"The lock of a job that died is taken over, on another host after {SILENT / 60:.0f} minutes of "
        f"silence. If the job is surely gone, delete {file}."
    )
