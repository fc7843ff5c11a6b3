"""Where the chips of a Parquet file lie in their scene and on the ground, read from its footer."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labeling.chips.card import CHIP_SCHEMA, Split
from labeling.chips.ground import Ground, ground_of
from labeling.chips.reader import AGAIN, ChipReader, reading
from labeling.errors import ConfigError
from labeling.files.storage import AnyPath
from labeling.scene_id import is_scene_id


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
    with ChipReader(file, size) as chips, reading(file):
        if not chips.schema.equals(CHIP_SCHEMA):
            raise ConfigError(f"{file} has other columns or types than chips have. {AGAIN}")
        if not len(chips):
            raise ConfigError(f"{file} holds no chips. {AGAIN}")
        metadata = chips.metadata
        columns = {metadata.schema.column(i).name: i for i in range(metadata.num_columns)}
        known = {
            name: [_value(chips, group, columns[name]) for group in range(len(chips))]
            for name in ("scene_id", "row", "column", "group")
        }
        first = chips.read(0, ["crs", "transform"]).to_pylist()[0]
        if any(None in values for values in known.values()):
            table = chips.read_all(list(known))
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
    with ChipReader(places.file, size) as reader:
        chips = reader.read_all(["crs", "transform"]).to_pylist()
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


def _value(chips: ChipReader, group: int, column: int) -> Any:
    """Return a column's only value in a row group of one row, as its statistics say; None without any."""
    found = chips.column(group, column).statistics
    if found is None or not found.has_min_max or found.min != found.max:
        return None
    return found.min
