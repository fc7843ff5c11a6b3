"""One job at a time in a folder of a bucket: folder.py without files that can be created only once.

RUN/.lock holds who works there, as on a disk, and is written anew every 15 seconds. It is written on
condition that it is still what was read before (If-None-Match, If-Match), so of two jobs that come at once
one succeeds. Some servers ignore conditions: there both may pass within the same moment, which the later one
notices when it reads the lock back, and the earlier one when it writes it anew.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from threading import Event
from uuid import uuid4

from labeling.errors import ConfigError
from labeling.files.bucket_path import BucketPath
from labeling.files.locks.holder import Holder, introduce
from labeling.files.periodic import periodically

_log = logging.getLogger("polynya.lock")


@contextmanager
def bucket_lock(folder: BucketPath, job: str, *, name: str, beat: float, silent: float) -> Iterator[None]:
    """Hold a folder while the block runs, by the object `name`, written every `beat` seconds.

    ConfigError, naming the other job, where one works there: a process of this machine that runs or one of
    another that has not been silent for `silent` seconds.
    """
    lock, mine = folder / name, introduce(job)
    _acquire(lock, mine, silent)
    try:
        with periodically(partial(_beat, lock, mine), beat, name="lock heartbeat"):
            yield
    finally:
        with suppress(OSError):  # the job is done; the next one takes over what stays
            if _read(lock) == mine:
                lock.unlink()


def _acquire(lock: BucketPath, mine: Holder, silent: float) -> None:
    state = lock.etag() if lock.is_file() else None
    holder = _read(lock) if state else None
    if holder is not None:
        if _lives(holder, lock, silent):
            raise _refusal(lock, holder)
        _log.warning("took %s over from %s, which ended without a word", lock.parent, holder)
    if not lock.write_if(mine.model_dump_json(indent=2).encode(), state) or _read(lock) != mine:
        raise _refusal(lock, _read(lock) or Holder(token=uuid4().hex))


def _read(lock: BucketPath) -> Holder | None:
    try:
        return Holder.model_validate_json(lock.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        return Holder(token="0" * 32)


def _lives(holder: Holder, lock: BucketPath, silent: float) -> bool:
    """Tell whether a job is still there: by its process or, where we cannot look at that, by its writing."""
    runs = holder.runs()
    if runs is not None:
        return runs
    probe = lock.with_name(f".{uuid4().hex}")  # both times are of the server's clock
    probe.write_if(b"", None)
    try:
        return probe.stat().st_mtime - lock.stat().st_mtime < silent
    finally:
        probe.unlink()


def _beat(lock: BucketPath, mine: Holder, ended: Event) -> None:
    with suppress(OSError):  # a server that hiccups is no reason to stop
        state = lock.etag()
        if _read(lock) == mine:
            lock.write_if(mine.model_dump_json(indent=2).encode(), state)
        else:
            _log.warning("the lock on %s was taken: check what both jobs wrote", lock.parent)
            ended.set()


def _refusal(lock: BucketPath, holder: Holder) -> ConfigError:
    return ConfigError(
        f"{lock.parent} is in use by {holder}: {holder.command}. Wait for it, stop it, or choose another "
        f"folder. If the job is surely gone, delete {lock}."
    )
