"""The compiled loops of the sliding median; what they do and why is in median.py.

All of them are in one file, because numba keeps machine code as long as the file of the function that is
called stays as it is: a change of what that calls in another file would go unnoticed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped] # no type information is published
from numba import njit, types
from numba.extending import intrinsic, models, register_model
from numpy.typing import NDArray

from labeling.ice.kernels import compiled

MAX_RADIUS: Final = 126
"""A column's counts, with one row counted twice (see `_first_columns`), must fit u8, the window's u16."""

_LEVELS = 256
# Wider vectors cost as much more per pass as they save in passes (measured on sea ice, AVX-512).
_BINS = 32
# Tile edge in pixels: the columns' counts and the table stay in a 32 KiB first-level cache, and the
# rows and columns around a tile, which are counted again for each tile, remain few.
_TILE = 512


class _Box(NamedTuple):
    """A rectangle of the result in pixels. In the padded image its window starts at the same pixel."""

    row: int
    column: int
    height: int
    width: int


# --- Vectors -----------------------------------------------------------------------------------------
# numba cannot keep a small array in registers, and the window's counts would go through memory at every
# pixel, ten times slower. So they are values of two types of their own, which LLVM maps to whatever
# vector registers the processor has.


class _ColumnCounts(types.Type):
    """u8 x _BINS."""


class _WindowCounts(types.Type):
    """u16 x _BINS."""


_COLUMN = _ColumnCounts(name=f"ColumnCounts({_BINS})")
_WINDOW = _WindowCounts(name=f"WindowCounts({_BINS})")
_COLUMN_IR = ir.VectorType(ir.IntType(8), _BINS)
_WINDOW_IR = ir.VectorType(ir.IntType(16), _BINS)

_primitive: Callable[..., Any] = models.PrimitiveModel
register_model(_ColumnCounts)(lambda manager, kind: _primitive(manager, kind, _COLUMN_IR))
register_model(_WindowCounts)(lambda manager, kind: _primitive(manager, kind, _WINDOW_IR))

_Emitter = Callable[[Any, Any, Any, Any], Any]
# numba's own annotation has the arguments of the declaration, not those of the call.
_intrinsic: Callable[[Callable[..., tuple[Any, _Emitter]]], Callable[..., Any]] = intrinsic


def _row_pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    """Emit the address of row `index` of a C-contiguous u8 (n, _BINS)."""
    data = context.make_array(array_type)(context, builder, array).data
    first = builder.gep(data, [builder.mul(index, ir.Constant(index.type, _BINS))])
    return builder.bitcast(first, _COLUMN_IR.as_pointer())


@_intrinsic
def _load(typing: Any, rows: Any, index: Any) -> tuple[Any, _Emitter]:
    """`rows[index]` of u8 (n, _BINS) as column counts."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_row_pointer(context, builder, signature.args[0], *args), align=1)

    return _COLUMN(rows, types.intp), emit


@_intrinsic
def _store(typing: Any, rows: Any, index: Any, counts: Any) -> tuple[Any, _Emitter]:
    """`rows[index] = counts` for u8 (n, _BINS)."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], _row_pointer(context, builder, signature.args[0], *args[:2]), align=1)
        return context.get_dummy_value()

    return types.void(rows, types.intp, _COLUMN), emit


@_intrinsic
def _plus(typing: Any, left: Any, right: Any) -> tuple[Any, _Emitter]:
    """Sum of two counts of one type."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.add(*args)

    return left(left, left), emit


@_intrinsic
def _minus(typing: Any, left: Any, right: Any) -> tuple[Any, _Emitter]:
    """Difference of two counts of one type."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.sub(*args)

    return left(left, left), emit


@_intrinsic
def _widen(typing: Any, counts: Any) -> tuple[Any, _Emitter]:
    """Column counts as window counts."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.zext(args[0], _WINDOW_IR)

    return _WINDOW(_COLUMN), emit


@_intrinsic
def _how_many_within(typing: Any, counts: Any, limit: Any) -> tuple[Any, _Emitter]:
    """How many of the window counts are <= limit (u16)."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        undefined = ir.Constant(_WINDOW_IR, ir.Undefined)
        lane, lanes = ir.IntType(32), ir.VectorType(ir.IntType(32), _BINS)
        first = builder.insert_element(undefined, args[1], ir.Constant(lane, 0))
        limits = builder.shuffle_vector(first, undefined, ir.Constant(lanes, None))
        within = builder.icmp_unsigned("<=", args[0], limits)
        count = builder.ctpop(builder.bitcast(within, ir.IntType(_BINS)))
        return context.cast(builder, count, types.uint32, types.intp)

    return types.intp(_WINDOW, types.uint16), emit


# --- The filter --------------------------------------------------------------------------------------


@njit(nogil=True)
def _fill_table(first_level: int, table: NDArray[np.uint8]) -> None:
    """Set `table`, u8 (256, _BINS), to what a pixel of each value adds: 1 in bins of its level or above."""
    for value in range(_LEVELS):
        for b in range(_BINS):
            table[value, b] = value <= first_level + b


@njit(nogil=True)
def _first_columns(
    padded: NDArray[np.uint8], box: _Box, radius: int, table: NDArray[np.uint8], columns: NDArray[np.uint8]
) -> None:
    """Count the rows above the first window's last one; the topmost twice, for the first slide to remove."""
    length = box.width + 2 * radius
    top = padded[box.row, box.column :]
    for x in range(length):
        _store(columns, x, _load(table, top[x]))
    for row in range(2 * radius):
        values = padded[box.row + row, box.column :]
        for x in range(length):
            _store(columns, x, _plus(_load(columns, x), _load(table, values[x])))


@njit(nogil=True)
def _slide_column(
    entering: int, leaving: int, x: int, table: NDArray[np.uint8], columns: NDArray[np.uint8]
) -> Any:
    """Move column `x` down by one row, given the values that enter and leave; return its counts."""
    counts = _minus(_plus(_load(columns, x), _load(table, entering)), _load(table, leaving))
    _store(columns, x, counts)
    return counts


@njit(nogil=True)
def _add_row(
    entering: NDArray[np.uint8],
    leaving: NDArray[np.uint8],
    table: NDArray[np.uint8],
    columns: NDArray[np.uint8],
    row: NDArray[np.uint8],
    radius: int,
) -> None:
    """Slide the window along one row; add to `row`, u8 (width,), how many bins are within half of it."""
    last = 2 * radius
    half = np.uint16((last + 1) ** 2 // 2)
    window = _widen(_load(columns, 0))
    window = _minus(window, window)
    for x in range(last):
        window = _plus(window, _widen(_slide_column(entering[x], leaving[x], x, table, columns)))
    for x in range(row.size):
        counts = _slide_column(entering[x + last], leaving[x + last], x + last, table, columns)
        window = _plus(window, _widen(counts))
        row[x] += np.uint8(_how_many_within(window, half))
        window = _minus(window, _widen(_load(columns, x)))


@njit(nogil=True)
def _add_levels(
    padded: NDArray[np.uint8],
    box: _Box,
    radius: int,
    first_level: int,
    table: NDArray[np.uint8],
    columns: NDArray[np.uint8],
    result: NDArray[np.uint8],
) -> None:
    """One pass over a box: add how many of the _BINS levels from `first_level` lie below the median.

    Levels under 0 are below it and levels over 255 are not, as they must.
    """
    _fill_table(first_level, table)
    _first_columns(padded, box, radius, table, columns)
    for y in range(box.height):
        entering = padded[box.row + y + 2 * radius, box.column :]
        leaving = padded[box.row + max(y - 1, 0), box.column :]
        row = result[box.row + y, box.column : box.column + box.width]
        _add_row(entering, leaving, table, columns, row, radius)


@njit(nogil=True)
def _shift(result: NDArray[np.uint8], box: _Box, levels: int) -> None:
    """Add `levels`, of either sign, to all pixels of the box, modulo 256."""
    addend = np.uint8(levels)
    for y in range(box.height):
        row = result[box.row + y, box.column : box.column + box.width]
        for x in range(box.width):
            row[x] += addend


@njit(nogil=True)
def _box_of(result: NDArray[np.uint8], box: _Box, value: int, hits: NDArray[np.uint8]) -> _Box:
    """Return the smallest box that holds all pixels of `box` with this value; height 0 if there is none."""
    wanted = np.uint8(value)
    top, bottom = -1, -1
    hits[:] = 0
    for y in range(box.height):
        row = result[box.row + y, box.column : box.column + box.width]
        found = np.uint8(0)
        for x in range(box.width):
            hit = np.uint8(row[x] == wanted)
            hits[x] |= hit
            found |= hit
        if found:
            bottom = y
            if top < 0:
                top = y
    if top < 0:
        return _Box(box.row, box.column, 0, 0)
    left, right = 0, box.width
    while not hits[left]:
        left += 1
    while not hits[right - 1]:
        right -= 1
    return _Box(box.row + top, box.column + left, bottom + 1 - top, right - left)


@njit(nogil=True)
def _likely_first_level(guide: NDArray[np.uint8], box: _Box, step: int) -> int:
    """Return the first of the _BINS levels that hold most of the guide's pixels in the box."""
    below = np.zeros(_LEVELS + 1, np.int64)
    for y in range(box.row // step, (box.row + box.height - 1) // step + 1):
        for x in range(box.column // step, (box.column + box.width - 1) // step + 1):
            below[guide[y, x] + 1] += 1
    for level in range(_LEVELS):
        below[level + 1] += below[level]
    first, last, most = 0, 0, -1
    for level in range(_LEVELS + 1 - _BINS):
        count = below[level + _BINS] - below[level]
        if count > most:
            first, most = level, count
        if count == most:
            last = level
    # Of equally good ranges the one in the middle leaves room on both sides.
    return (first + last) // 2


@njit(nogil=True)
def _tile_count(length: int) -> int:
    """Return into how many tiles a side is cut: the nearest to _TILE each, so that no sliver remains."""
    return max(1, (length + _TILE // 2) // _TILE)


@compiled
def fill_tiles(
    padded: NDArray[np.uint8], guide: NDArray[np.uint8], step: int, radius: int, result: NDArray[np.uint8]
) -> None:
    """Add to `result`, u8 (height, width), the medians of `padded`, larger by `radius` on each side.

    `guide`, every `step`-th pixel of something like the result, only decides where to look first.
    """
    height, width = result.shape
    down, across = _tile_count(height), _tile_count(width)
    hits = np.empty(width // across + 1, np.uint8)
    columns = np.empty((hits.size + 2 * radius, _BINS), np.uint8)
    table = np.empty((_LEVELS, _BINS), np.uint8)
    for i in range(down):
        for j in range(across):
            row, column = i * height // down, j * width // across
            tile = _Box(row, column, (i + 1) * height // down - row, (j + 1) * width // across - column)
            level = _likely_first_level(guide, tile, step)
            _shift(result, tile, level)
            _add_levels(padded, tile, radius, level, table, columns, result)
            # A result one past the range says "this or higher" ...
            box, above = tile, level + _BINS
            while above < _LEVELS:
                box = _box_of(result, box, above, hits)
                if box.height == 0:
                    break
                _add_levels(padded, box, radius, above, table, columns, result)
                above += _BINS
            # ... and its first level says "this or lower".
            box = tile
            while level > 0:
                box = _box_of(result, box, level, hits)
                if box.height == 0:
                    break
                lower = level - _BINS
                # Results may pass below 0 here and wrap; the pass's counts bring them back.
                _shift(result, box, lower - level)
                _add_levels(padded, box, radius, lower, table, columns, result)
                level = lower
