"""Memory that a rank shares with its feeders, in pieces for a batch each, which are used again and again.

It has no name and lies in no file system: containers keep /dev/shm small.
"""

from __future__ import annotations

import mmap
import os
import weakref
from typing import Final

import numpy as np
from numpy.typing import NDArray

from labeling.errors import ConfigError

WITHOUT: Final = "set `feeders: 0`, and a thread makes the batches"
"""The way out where the system refuses what feeders need."""


class Pieces:
    """Memory for batches of `most` bytes at most; processes that get its handle can map it."""

    def __init__(self, most: int) -> None:
        """Take no memory yet; OSError where the system has none of the kind."""
        self.handle = os.memfd_create("polynya-batches")
        weakref.finalize(self, os.close, self.handle)
        self.piece = -(-most // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY
        self._mapped: list[mmap.mmap] = []
        self._free: list[int] = []

    def take(self, size: int) -> tuple[int, NDArray[np.uint8]]:
        """Return where a free piece begins and `size` bytes of it; free again when no array holds it.

        ConfigError where the system has no more.
        """
        if size > self.piece:
            raise ValueError(f"a batch of {size} bytes, and {self.piece} is the most")
        if not self._free:
            start = self.piece * len(self._mapped)
            try:
                os.ftruncate(self.handle, start + self.piece)
                self._mapped.append(mmap.mmap(self.handle, self.piece, offset=start))
            except OSError as error:
                raise ConfigError(
                    f"no memory for a batch of {self.piece} bytes ({error.strerror}): {WITHOUT}"
                ) from None
            self._free.append(len(self._mapped) - 1)
        piece = self._free.pop()
        memory = np.frombuffer(self._mapped[piece], np.uint8, size)
        weakref.finalize(memory, self._free.append, piece)
        return piece * self.piece, memory
