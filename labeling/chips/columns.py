"""Whether a Parquet file's footer tells of columns that can be, asked so that the answer is an error.

Arrow checks what a footer says of a column when it is first asked for. From Python that ends the process: an
exception of C++ that nobody takes. Reading checks the same, and does take it. So each row group is read once
from a stream that gives no page: either Arrow refuses the columns, or it comes as far as asking for a page.
What only their statistics would stumble over, reading does not see: types other than the schema's.
"""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq


class ColumnCheck:
    """The row groups of one footer, each looked at once."""

    def __init__(self, metadata: pq.FileMetaData, size: int) -> None:
        """`size`: bytes of the file."""
        self._metadata = metadata
        # Buffered, Arrow makes the readers of all columns before it asks for the first byte.
        self._stream = _NoPages(size)
        self._parquet = pq.ParquetFile(self._stream, metadata=metadata, buffer_size=1024)
        self._sound: set[int] = set()

    def __call__(self, group: int) -> None:
        """Raise OSError, as Arrow does, or ValueError where a row group has a column that cannot be."""
        if group not in self._sound:
            self._stream.asked = False
            try:
                self._parquet.read_row_group(group, use_threads=False)
            except (pa.ArrowException, OSError):  # that there is no page is one
                if not self._stream.asked:
                    raise
            self._check_types(group)
            self._sound.add(group)

    def _check_types(self, group: int) -> None:
        columns, schema = self._metadata.row_group(group), self._metadata.schema
        for number in range(self._metadata.num_columns):
            found, wanted = columns.column(number).physical_type, schema.column(number).physical_type
            if found != wanted:
                raise ValueError(f"a column of chip {group} holds {found} and its schema says {wanted}")


class _NoPages(io.RawIOBase):
    """A file of some size that ends where it is read.

    An error of its own would be kept by Arrow for ever, and with its frames all that was at work: open files,
    and what they were read for.
    """

    asked = False
    """Whether a page was asked for: then the columns are sound."""

    def __init__(self, size: int) -> None:
        self._size, self._place = size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = offset + (0, self._place, self._size)[whence]
        return self._place

    def read(self, size: int = -1) -> bytes:
        self.asked = True
        return b""
