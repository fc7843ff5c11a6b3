"""Where the chips of a Parquet file lie in their scene and on the ground, read from its footer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from labeling.chips.card import CHIP_SCHEMA, Split
from labeling.chips.ground import Ground, ground_of
from labeling.errors import ConfigError
from labeling.files.storage import AnyPath, open_regular
from labeling.scene_id import is_scene_id

AGAIN: Final = "Make the chips again with python -m jobs.label."


OVERHEAD: Final = 1 << 18
"""Bytes of a chip beside its pixels: names, a CRS, heads of pages."""


@contextmanager
def reading(file: AnyPath) -> Iterator[None]:
    """Turn whatever a damaged file makes the block raise into a ConfigError that names it."""
    try:
        yield
    except (pa.ArrowException, OSError, KeyError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"cannot read chips from {file}: {reason}. {AGAIN}") from None


def check_declared(metadata: pq.FileMetaData, file: AnyPath, size: int) -> None:
    """Raise ConfigError where a file says that a chip takes more memory than one of `size` pixels can.

    A page of zeros packs a thousand times smaller, and Parquet unpacks it before anybody can look.
    """
    most = 4 * size**2 + OVERHEAD
    for group in range(metadata.num_row_groups):
        taken = metadata.row_group(group).total_byte_size
        if taken > most:
            raise ConfigError(
                f"{file} says that chip {group} takes {taken} bytes; one of {size} x {size} pixels takes "
                f"{most} at most. {AGAIN}"
            )


class Places(NamedTuple):
    """Where the chips of one file lie in their scene."""

    split: Split
    scene_id: str
    file: AnyPath
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    """Of the upper left pixels, (N,)."""
    scene: Ground | None
    """The scene's grid from its upper left pixel; None where it does not say where it lies."""
    groups: frozenset[str]
    """What the chips' scenes belong to."""


def read_places(file: AnyPath, split: Split, size: int, *, whole: bool) -> Places:
    """Read where the chips of a file lie, from its footer; ConfigError where it is no file of chips.

    With `whole` the place on the ground of each chip is held against its place in the scene, too.
    """
    with reading(file), open_regular(file) as stream:
        source = pq.ParquetFile(stream)
        metadata = source.metadata
        check_declared(metadata, file, size)
        if not source.schema_arrow.equals(CHIP_SCHEMA):
            raise ConfigError(f"{file} has other columns or types than chips have. {AGAIN}")
        if not metadata.num_rows:
            raise ConfigError(f"{file} holds no chips. {AGAIN}")
        columns = {metadata.schema.column(i).name: i for i in range(metadata.num_columns)}
        known = {
            name: [_value(metadata, group, columns[name]) for group in range(metadata.num_row_groups)]
            for name in ("scene_id", "row", "column", "group")
        }
        first = source.read_row_group(0, columns=["crs", "transform"]).slice(0, 1).to_pylist()[0]
    if metadata.num_row_groups != metadata.num_rows or any(None in values for values in known.values()):
        table = _read(file, list(known))
        known = {name: table.column(name).to_pylist() for name in known}
    scene_id = file.stem
    if not is_scene_id(scene_id):
        raise ConfigError(f"{file} is not named by a scene's id, as files of chips are. {AGAIN}")
    if set(known["scene_id"]) != {scene_id}:
        raise ConfigError(f"{file} holds chips of other scenes than its name says. {AGAIN}")
    rows, cols = (np.array(known[name], np.int64) for name in ("row", "column"))
    ground = ground_of(first["crs"], first["transform"], height=size, width=size)
    if ground is not None:
        ground = ground.part(-int(rows[0]), -int(cols[0]), size)
    places = Places(split, scene_id, file, rows, cols, ground, frozenset(known["group"]))
    if whole:
        _check_grid(places, size)
    return places


def _check_grid(places: Places, size: int) -> None:
    """Raise ConfigError unless all chips of a file lie on one grid, as their rows and columns say."""
    chips = _read(places.file, ["crs", "transform"]).to_pylist()
    for chip, row, column in zip(chips, places.rows.tolist(), places.columns.tolist(), strict=True):
        found = ground_of(chip["crs"], chip["transform"], height=size, width=size)
        wanted = None if places.scene is None else places.scene.part(row, column, size)
        if found is wanted is None:
            continue
        if found is None or wanted is None or found.crs != wanted.crs or not _near(found, wanted):
            raise ConfigError(
                f"{places.file} holds a chip at row {row}, column {column} that lies elsewhere on the "
                f"ground. {AGAIN}"
            )


def _near(one: Ground, other: Ground) -> bool:
    return bool(np.allclose(one.transform, other.transform, rtol=1e-9, atol=0.01 * abs(one.transform[0])))


def _value(metadata: Any, group: int, column: int) -> Any:
    """Return a column's only value in a row group of one row, as its statistics say; None without any."""
    found = metadata.row_group(group).column(column).statistics
    if found is None or not found.has_min_max or found.min != found.max:
        return None
    return found.min


def _read(file: AnyPath, columns: Sequence[str]) -> pa.Table:
    with reading(file), file.open("rb") as stream:
        return pq.ParquetFile(stream).read(columns=list(columns))
