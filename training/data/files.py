"""The Parquet files of chips as streams: reading them, writing them, and the kinds of their chips."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from labeling.chips.card import ChipTally
from labeling.chips.kinds import chip_kinds
from labeling.chips.reader import ChipReader, reading

_COLUMNS = ["class_fractions", "ignore_fraction", "cloud_fraction"]


class Record(NamedTuple):
    """One chip with all that its file says of it."""

    file: Path
    row: pa.Table
    """All columns; a table of one row."""


def records(files: Iterable[Path], size: int) -> Iterator[Record]:
    """Yield every chip, of `size` pixels, of some files in their order, read as they are asked for.

    ConfigError when a file cannot be read.
    """
    for file in files:
        with ChipReader(file, size) as chips:
            for index in range(len(chips)):
                yield Record(file, chips.read(index))


def write_records(chips: Iterable[Record], target: Path) -> ChipTally:
    """Write at least one chip to a new file, a row group each; return what they are."""
    chips, tally = iter(chips), ChipTally()
    first = next(chips)
    target.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(target, first.row.schema, compression="zstd") as writer:
        for chip in chain([first], chips):
            writer.write_table(chip.row)
            tally.add(pixels(chip.row, "image").tobytes(), pixels(chip.row, "label").tobytes())
    return tally


def pixels(chip: pa.Table, column: str) -> NDArray[np.uint8]:
    """Return the "image" or "label" of a chip (a table of one row), flat u8: a read-only view of its page."""
    return np.frombuffer(chip.column(column)[0].as_buffer(), np.uint8)


def read_kinds(files: Sequence[Path], size: int) -> NDArray[np.uint8]:
    """Return the kind of each chip, of `size` pixels, of some files, u8 (N,), in their order; see chip_kinds.

    Reads three small columns, no picture. ConfigError when a file cannot be read.
    """
    kinds = [np.zeros(0, np.uint8)]
    for file in files:
        with ChipReader(file, size) as chips, reading(file):
            fractions, ignored, cloud = chips.read_all(_COLUMNS).columns
            kinds.append(
                chip_kinds(
                    fractions.combine_chunks().flatten().to_numpy().reshape(-1, 3),
                    ignored.to_numpy(),
                    cloud.to_numpy(),  # null becomes NaN
                )
            )
    return np.concatenate(kinds)
