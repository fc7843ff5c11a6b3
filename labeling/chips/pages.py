"""What the pages of a Parquet file say of themselves, read before anything is unpacked.

A file's footer states the size of each column, and may lie. What is unpacked follows from the head of each
page instead: how many bytes, and for how many values. Heads are structs of Thrift's compact protocol
(parquet-format, parquet.thrift, PageHeader); of these only what is needed here is understood, and what is
not in files of chips is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO, Final, NamedTuple

LARGEST_HEAD: Final = 1 << 16
"""Bytes of a page's head; statistics in it are cut at 4 KiB."""

_LARGEST_FIELD: Final = 32
_BOOLEANS, _WHOLE, _DOUBLE, _BINARY, _STRUCT = (1, 2), (3, 4, 5, 6), 7, 8, 12
_UNPACKED, _PACKED = 2, 3
_KINDS: Final = {5: "data", 7: "dictionary", 8: "data"}
"""Fields of a head that tell of a page of values, of a dictionary, and of values in version 2."""
_VALUES: Final = 1
_ENCODINGS: Final = {5: 2, 7: 2, 8: 4}
"""Where each of these keeps the encoding."""


class Page(NamedTuple):
    """What a page says of itself."""

    unpacked: int
    """Bytes."""
    values: int
    encoding: int
    """One of parquet.thrift's Encoding."""


def read_pages(stream: BinaryIO, start: int, size: int) -> Iterator[Page]:
    """Yield the pages that lie in `size` bytes of a file from `start` on; ValueError where there is none."""
    end = start + size
    while start < end:
        stream.seek(start)
        try:
            head, length = _struct(stream.read(min(LARGEST_HEAD, end - start)), 0, depth=0)
        except IndexError:
            raise ValueError("a page's head is cut off") from None
        packed = head.get(_PACKED, -1)
        kinds = head.keys() & _KINDS.keys()
        if not isinstance(packed, int) or packed < 0 or len(kinds) != 1:
            raise ValueError("a page has a head that is none")
        [kind] = kinds
        yield Page(head[_UNPACKED], head[kind][_VALUES], head[kind][_ENCODINGS[kind]])
        start += length + packed


def _struct(data: bytes, place: int, *, depth: int) -> tuple[dict[int, Any], int]:
    """Return a struct's fields by number, and where it ends."""
    found: dict[int, Any] = {}
    number = 0
    while kind := data[place]:
        step, kind, place = kind >> 4, kind & 15, place + 1
        if step:
            number += step
        else:
            number, place = _number(data, place)
        if number in found or not 0 < number <= _LARGEST_FIELD or depth > 3:
            raise ValueError("a page's head has fields that none has")
        if kind in _BOOLEANS:
            found[number] = kind
        elif kind in _WHOLE:
            found[number], place = (data[place], place + 1) if kind == 3 else _number(data, place)
        elif kind == _DOUBLE:
            found[number], place = None, place + 8
        elif kind == _BINARY:
            length, place = _bits(data, place)
            found[number], place = None, place + length
        elif kind == _STRUCT:
            found[number], place = _struct(data, place, depth=depth + 1)
        else:
            raise ValueError("a page's head has fields that none has")
    return found, place + 1


def _number(data: bytes, place: int) -> tuple[int, int]:
    """Return a signed number, and where it ends."""
    bits, place = _bits(data, place)
    value = (bits >> 1) ^ -(bits & 1)
    if not -(2**31) <= value < 2**31:
        raise ValueError("a page's head has a number that is too large")
    return value, place


def _bits(data: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[place]
        value, place = value | (byte & 127) << shift, place + 1
        if byte < 128:
            return value, place
    raise ValueError("a page's head has a number without end")
