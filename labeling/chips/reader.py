"""A Parquet file of chips, a row group each, of which nothing is unpacked that is larger than a chip can be.

A page of zeros packs a thousand times smaller, one value of a dictionary can be listed a million times, and
Parquet unpacks before anybody can look. So the footer is held against a chip's size when a file is opened,
and the pages themselves (pages.py) each time before they are read.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from labeling.chips.card import CHIP_SCHEMA
from labeling.chips.columns import ColumnCheck
from labeling.chips.pages import read_pages
from labeling.errors import ConfigError
from labeling.files.storage import AnyPath, open_regular

AGAIN: Final = "Make the chips again with python -m jobs.label."

OVERHEAD: Final = 1 << 18
"""Bytes of a chip beside its pixels: names, a CRS, heads of pages."""

_MOST_VALUES: Final = 6
"""Of one chip in a column: the numbers of its transform."""

_MOST_PAGES: Final = 8
"""Of one chip in a column; a dictionary and a page of values are usual."""

_ENCODINGS: Final = frozenset({0, 2, 3, 4, 8})
"""Plain, by dictionary, in runs: those whose size follows from what is counted here. Others make many values
of a few bytes."""

_LEAST_BYTES: Final = 256
"""Of a file for a chip, at least; a footer whose lists claim more is refused before room is made for them."""


@contextmanager
def reading(file: AnyPath) -> Iterator[None]:
    """Turn whatever a damaged file makes the block raise into a ConfigError that names it."""
    try:
        yield
    # What is damaged may be text, too long, or no struct at all, too.
    except (pa.ArrowException, OSError, LookupError, ValueError, TypeError, OverflowError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"cannot read chips from {file}: {reason}. {AGAIN}") from None


class ChipReader:
    """An open file; a context manager, and not to be shared between threads."""

    def __init__(self, file: AnyPath, size: int) -> None:
        """Open a file of chips of `size` pixels; ConfigError where it is none, or claims too much."""
        self._file, self._most = file, 4 * size**2 + OVERHEAD
        with reading(file):
            self._stream = open_regular(file)
        self._close = weakref.finalize(self, self._stream.close)
        try:
            self._read_footer(size)
        except BaseException:
            self._close()
            raise

    def _read_footer(self, size: int) -> None:
        with reading(self._file):
            self._bytes = self._stream.seek(0, 2)
            most = max(1000, self._bytes // _LEAST_BYTES)
            self._parquet = pq.ParquetFile(self._stream, thrift_container_size_limit=most)
            self.metadata = self._parquet.metadata
            self.schema: pa.Schema = self._parquet.schema_arrow
            names = [self.metadata.schema.column(i).path for i in range(self.metadata.num_columns)]
            self._check_columns = ColumnCheck(self.metadata, self._bytes)
        self._columns = [name.partition(".")[0] for name in names]
        for group in range(len(self)):
            self._check_declared(group, size)

    def __len__(self) -> int:
        """Return how many chips there are."""
        return int(self.metadata.num_row_groups)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def column(self, index: int, number: int) -> pq.ColumnChunkMetaData:
        """Return what the footer says of a column of a chip; OSError where that cannot be."""
        self._check_columns(index)
        return self.metadata.row_group(index).column(number)

    def read(self, index: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Read a chip, a table of one row; None are all columns. ConfigError where it cannot be read."""
        with reading(self._file):
            self._check_pages(index, columns)
            chip = self._parquet.read_row_group(
                index, columns=None if columns is None else list(columns), use_threads=False
            )
            _check_table(chip, 1, columns or ("image", "label"))
            return chip

    def read_all(self, columns: Sequence[str]) -> pa.Table:
        """Read some columns of all chips, as `read`."""
        with reading(self._file):
            for index in range(len(self)):
                self._check_pages(index, columns)
            chips = self._parquet.read(columns=list(columns))
            _check_table(chips, len(self), columns)
            return chips.select(list(columns))

    def _check_declared(self, index: int, size: int) -> None:
        group = self.metadata.row_group(index)
        if group.num_rows != 1:
            raise ConfigError(f"{self._file} does not keep one chip a row group. {AGAIN}")
        if group.total_byte_size > self._most:
            raise ConfigError(
                f"{self._file} says that chip {index} takes {group.total_byte_size} bytes; one of {size} x "
                f"{size} pixels takes {self._most} at most. {AGAIN}"
            )

    def _check_pages(self, index: int, columns: Sequence[str] | None) -> None:
        """Raise ValueError where the pages of a chip hold more than its footer and size allow."""
        unpacked = 0
        for number, name in enumerate(self._columns):
            if columns is None or name in columns:
                unpacked += self._unpacked(self.column(index, number), index)
        if unpacked > self._most:
            raise ValueError(f"the pages of chip {index} take {unpacked} bytes, more than {self._most}")

    def _unpacked(self, column: pq.ColumnChunkMetaData, index: int) -> int:
        """Return how many bytes the pages of a column take; ValueError where that is no measure of it."""
        start, size, unpacked = column.data_page_offset, column.total_compressed_size, 0
        if column.has_dictionary_page and 0 < (column.dictionary_page_offset or 0) < start:
            start = column.dictionary_page_offset
        if not 0 < column.num_values <= _MOST_VALUES or min(start, size) < 0 or start + size > self._bytes:
            raise ValueError(f"chip {index} has a column that cannot be")
        for count, page in enumerate(read_pages(self._stream, start, size)):
            known = 0 <= page.values <= _MOST_VALUES and page.encoding in _ENCODINGS
            if count == _MOST_PAGES or not known or page.unpacked < 0:
                raise ValueError(f"chip {index} has pages that no chip has")
            unpacked += page.unpacked
        return unpacked


def _check_table(table: pa.Table, rows: int, columns: Sequence[str]) -> None:
    """Raise ValueError where Arrow left out columns that are not there, or they are not what chips have."""
    for name in columns:
        if name not in table.column_names:
            raise ValueError(f"there is no column {name}")
        if table.schema.field(name).type != CHIP_SCHEMA.field(name).type:
            raise ValueError(f"the column {name} holds {table.schema.field(name).type}")
    if table.num_rows != rows:
        raise ValueError(f"there are {table.num_rows} rows where {rows} must be")
