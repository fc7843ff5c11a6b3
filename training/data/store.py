"""Reading single chips out of a chips folder, in any order, without holding the folder in memory."""

from __future__ import annotations

import math
import threading
from functools import lru_cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labeling.chips.card import ChipCard, Split, read_card, split_files
from labeling.chips.check import check_codes
from labeling.chips.reader import ChipReader
from labeling.classes import IGNORE
from labeling.errors import ConfigError
from training.data.files import pixels, read_kinds
from training.data.unpacked import Unpacked
from training.settings.task import CLASSES, Task

OPEN_FILES = 32
"""Parquet files that a thread keeps open; the usual limit of a process is 1024 handles."""


class Chip(NamedTuple):
    """One training sample."""

    image: NDArray[np.uint8]
    """Picture (size, size, 3), R, G, B."""
    label: NDArray[np.uint8]
    """Class codes (size, size); to classify, the chip's kind (1, 1)."""


class _Place(NamedTuple):
    file: Path
    row_group: int


class _Readers(threading.local):
    """Files that a thread has open: readers are not to be shared between threads."""

    def __init__(self, size: int) -> None:
        self.open = lru_cache(OPEN_FILES)(partial(ChipReader, size=size))


class ChipStore:
    """The chips of one split, by index 0 .. len-1, in the fixed order of files and row groups.

    Opening reads the files' metadata only, and to classify the columns that the kinds follow from; a chip's
    bytes are read when it is asked for.
    """

    def __init__(self, chips: Path, split: Split, task: Task = "segment") -> None:
        """Raise ConfigError when the folder is no chips folder, or its files do not fit its card."""
        self.card: ChipCard = read_card(chips)
        if self.card.channels != 3:
            raise ConfigError(f"chips in {chips} have {self.card.channels} channels; training needs R, G, B")
        self._readers = _Readers(self.card.size)
        self._unpacked: Unpacked | None = None
        self._files = split_files(chips, split)
        self._held = {(file.split, file.scene_id): file.chips for file in self.card.files}
        counts = [self._count(file, split) for file in self._files]
        self._starts = np.cumsum([0, *counts])
        """Index of each file's first chip, and at the end how many there are."""
        expected = self.card.counts.get(split, 0)
        if len(self) != expected:
            raise ConfigError(
                f"{chips}/split={split} holds {len(self)} chips, chips.json says {expected}: "
                "files are missing or left over. Make the chips again with python -m jobs.label."
            )
        self.split, self.task = split, task
        self._kinds = read_kinds(self._files, self.card.size) if task == "classify" else None

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs to read the same chips; what is kept unpacked it must be told."""
        return vars(self) | {"_readers": None, "_unpacked": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._readers = _Readers(self.card.size)

    def _count(self, file: Path, split: Split) -> int:
        """Return how many chips a file holds: as the card says, whose files check_chips looks at."""
        held = self._held.get((split, file.stem))
        if held is not None:
            return held
        with ChipReader(file, self.card.size) as chips:
            return len(chips)

    @property
    def label_shape(self) -> tuple[int, int]:
        """Height and width of a chip's label, pixels."""
        return (self.card.size, self.card.size) if self._kinds is None else (1, 1)

    @property
    def class_counts(self) -> tuple[int, ...]:
        """How much of each class the split shows: labelled pixels, or to classify chips."""
        if self._kinds is None:
            return self.card.class_pixels.get(self.split, (0, 0, 0))
        kinds = len(CLASSES[self.task])
        return tuple(np.bincount(self._kinds, minlength=IGNORE)[:kinds].tolist())

    @property
    def fingerprint(self) -> str:
        """Digest of the split as this process sees it: what the card says, and the files' names and sizes."""
        digest = sha256(self.card.digest.encode())
        for file in self._files:
            digest.update(f"\n{file.parent.name}/{file.name} {file.stat().st_size}".encode())
        return digest.hexdigest()

    def check_sizes(self, *, rank: int, size: int) -> None:
        """Read the first chip of each file that falls to `rank` of `size`; ConfigError when one is none."""
        # A file without a chip begins where the next one does.
        for index in np.unique(self._starts[:-1][np.diff(self._starts) > 0])[rank::size]:
            self[int(index)]

    @property
    def chip_bytes(self) -> tuple[int, int]:
        """How many bytes a chip's image and its label take."""
        return 3 * self.card.size**2, math.prod(self.label_shape)

    def keep(self, file: Path | int) -> None:
        """Keep chips that are read in a file of `unpacked.place`, or its handle, and take them there."""
        image, label = self.chip_bytes
        self._unpacked = Unpacked(file, image=image, label=label)

    @property
    def kept_handle(self) -> int | None:
        """The open file of `keep`, which a process that is started may be given."""
        return self._unpacked.fileno() if self._unpacked else None

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: int) -> Chip:
        """Read one chip, or raise ConfigError. The arrays are not to be written to."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        found = self._unpacked.read(index) if self._unpacked else None
        if found is not None:
            image, label = found
            size = self.card.size
            return Chip(image.reshape(size, size, 3), label.reshape(self.label_shape))
        chip = self._read(index)
        if self._unpacked:
            self._unpacked.write(index, *chip)
        return chip

    def _place(self, index: int) -> _Place:
        file = int(np.searchsorted(self._starts, index, side="right")) - 1
        return _Place(self._files[file], index - int(self._starts[file]))

    def _read(self, index: int) -> Chip:
        place = self._place(index)
        kind = None if self._kinds is None else self._kinds[index : index + 1]
        columns = ["image", "label"] if kind is None else ["image"]
        table = self._readers.open(place.file).read(place.row_group, columns)
        size = self.card.size
        try:
            label = pixels(table, "label") if kind is None else kind
            chip = Chip(
                image=pixels(table, "image").reshape(size, size, 3), label=label.reshape(self.label_shape)
            )
        except (ValueError, AttributeError, TypeError):  # of another size, null, or no bytes at all
            raise ConfigError(
                f"chip {place.row_group} of {place.file} is not {size} x {size} pixels as chips.json says. "
                "Make the chips again with python -m jobs.label."
            ) from None
        if kind is None:
            check_codes(chip.label, place.file)
        return chip

    def empty(self) -> Chip:
        """Return a black chip without a labelled pixel; it adds nothing to a loss or a metric."""
        size = self.card.size
        return Chip(np.zeros((size, size, 3), np.uint8), np.full(self.label_shape, IGNORE, np.uint8))
