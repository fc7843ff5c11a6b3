"""Reading single chips out of a chips folder, in any order, without holding the folder in memory."""

from __future__ import annotations

from functools import lru_cache, partial
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labeling.chips.card import ChipCard, Split, read_card, split_files
from labeling.chips.check import check_codes
from labeling.chips.reader import ChipReader
from labeling.classes import IGNORE
from labeling.errors import ConfigError
from training.data.files import pixels, read_kinds
from training.settings.task import CLASSES, Task

OPEN_FILES = 64
"""Parquet files kept open; the usual limit of a process is 1024 handles."""


class Chip(NamedTuple):
    """One training sample."""

    image: NDArray[np.uint8]
    """Picture (size, size, 3), R, G, B."""
    label: NDArray[np.uint8]
    """Class codes (size, size); to classify, the chip's kind (1, 1)."""


class _Place(NamedTuple):
    file: Path
    row_group: int


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
        self._open = lru_cache(OPEN_FILES)(partial(ChipReader, size=self.card.size))
        self._files = split_files(chips, split)
        self._held = {(file.split, file.scene_id): file.chips for file in self.card.files}
        self._places = [
            _Place(file, index) for file in self._files for index in range(self._count(file, split))
        ]
        expected = self.card.counts.get(split, 0)
        if len(self._places) != expected:
            raise ConfigError(
                f"{chips}/split={split} holds {len(self._places)} chips, chips.json says {expected}: "
                "files are missing or left over. Make the chips again with python -m jobs.label."
            )
        self.split, self.task = split, task
        self._kinds = read_kinds(self._files, self.card.size) if task == "classify" else None

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
        firsts = [index for index, place in enumerate(self._places) if place.row_group == 0]
        for index in firsts[rank::size]:
            self[index]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Chip:
        """Read one chip, or raise ConfigError. The arrays are read-only views of its Parquet page."""
        place = self._places[index]
        kind = None if self._kinds is None else self._kinds[index : index + 1]
        columns = ["image", "label"] if kind is None else ["image"]
        table = self._open(place.file).read(place.row_group, columns)
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
