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
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

DISK: Final = "/var/tmp"
"""Where nobody says otherwise by TMPDIR: /tmp may be memory, which a job's limit counts."""

_THERE: Final = b"\x01"


class Unpacked:
    """A file of chips; threads may share it."""

    def __init__(self, path: Path, *, image: int, label: int) -> None:
        """Open a file that `place` made, for chips of so many bytes; OSError where it is none of ours."""
        self._image, self._record = image, len(_THERE) + image + label
        self._full = False
        self._file = os.open(path, os.O_RDWR)
        self._close = weakref.finalize(self, os.close, self._file)
        if os.fstat(self._file).st_uid != os.geteuid():
            self._close()
            raise PermissionError(f"{path} belongs to another user")

    def read(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | None:
        """Return image and label of a chip, flat u8; None where nobody has left it here yet."""
        file, start = self._file, index * self._record
        # The mark is written last, so it is read first.
        if os.pread(file, len(_THERE), start) != _THERE:
            return None
        found = np.empty(self._record - len(_THERE), np.uint8)
        if os.preadv(file, [found.data], start + len(_THERE)) != len(found):
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
def place(chips: int, chip_bytes: int) -> Iterator[Path | None]:
    """Yield a new file for so many chips, which has lost its name when the block ends.

    None where they would take more than half of the disk's room, or nothing can be written there.
    """
    folder = os.environ.get("TMPDIR") or DISK
    try:
        if 2 * chips * (chip_bytes + len(_THERE)) > shutil.disk_usage(folder).free:
            yield None
            return
        handle, name = tempfile.mkstemp(prefix="polynya-chips-", dir=folder)
    except OSError:
        yield None
        return
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)
