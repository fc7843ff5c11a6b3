"""Chips as plain bytes in a file without a name, which the ranks of a machine fill as they come to them.

A chip in Parquet takes a third of a millisecond to unpack and check, and every epoch shows it again. Nothing
of the file is in this process's memory: what the system has room for stays in its cache. It vanishes with
the last process that has it open, however that ends.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

DISK: Final = "/var/tmp"
"""Where nobody says otherwise by TMPDIR: /tmp may be memory, which a job's limit counts."""

_THERE: Final = b"\x01"


class Unpacked:
    """A file of chips; threads may share it."""

    def __init__(self, file: Path | int, *, image: int, label: int) -> None:
        """Open a file that `place` made, or take its handle, for chips of so many bytes.

        OSError where it is none of ours.
        """
        self._image, self._record = image, len(_THERE) + image + label
        self._full = False
        self._file = file if isinstance(file, int) else os.open(file, os.O_RDWR)
        self._close = weakref.finalize(self, os.close, self._file)
        if os.fstat(self._file).st_uid != os.geteuid():
            self._close()
            raise PermissionError(f"{file} belongs to another user")

    def fileno(self) -> int:
        """Return the file's handle, as `os` takes it."""
        return self._file

    def read(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | None:
        """Return image and label of a chip, flat u8; None where nobody has left it yet, or the disk fails."""
        file, start = self._file, index * self._record
        found = np.empty(self._record - len(_THERE), np.uint8)
        try:
            # The mark is written last, so it is read first.
            there = os.pread(file, len(_THERE), start) == _THERE
            if not there or os.preadv(file, [found.data], start + len(_THERE)) != len(found):
                return None
        except OSError:
            return None
        return found[: self._image], found[self._image :]

    def write(self, index: int, image: NDArray[np.uint8], label: NDArray[np.uint8]) -> None:
        """Leave a chip for others, and for later; nothing where the disk is full."""
        if self._full:
            return
        file, start = self._file, index * self._record
        parts = [np.ascontiguousarray(part).data.cast("B") for part in (image, label)]
        try:
            if os.pwritev(file, parts, start + len(_THERE)) == self._record - len(_THERE):
                os.pwrite(file, _THERE, start)
        except OSError:
            self._full = True


@contextmanager
def place(chips: int, chip_bytes: int, *, beside: int = 0) -> Iterator[Path | None]:
    """Yield a new file for so many chips, which has lost its name when the block ends.

    None where they, and so many bytes `beside`, would take more than half of the disk's room, where that disk
    is memory, or nothing can be written there.
    """
    file = _new_file(chips * (chip_bytes + len(_THERE)) + beside)
    try:
        yield file
    finally:
        if file is not None:
            file.unlink(missing_ok=True)


def _new_file(size: int) -> Path | None:
    folder = os.environ.get("TMPDIR") or DISK
    try:
        if 2 * size > shutil.disk_usage(folder).free or is_memory(folder):
            return None
        handle, name = tempfile.mkstemp(prefix="polynya-chips-", dir=folder)
    except OSError:
        return None
    os.close(handle)
    return Path(name)


def is_memory(folder: str) -> bool:
    """Tell whether a folder's files are kept in memory (Linux), where a job's limit may count them."""
    device = os.stat(folder).st_dev  # noqa: PTH116 - text, as it comes
    wanted = f"{os.major(device)}:{os.minor(device)}"
    with suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            before, _, after = line.partition(" - ")
            if before.split()[2] == wanted:
                return after.split()[0] in ("tmpfs", "ramfs")
    return False
