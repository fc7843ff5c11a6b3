"""Whether a folder of chips is what its card says, and whether its splits keep apart on the ground.

What is checked of every chip comes from the files' footers, and files are known by their digest, so ten
thousand chips take less than a second. Where a card has no digests of files, chips are read whole.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labeling.chips.card import (
    CHIP_SCHEMA,
    SPLITS,
    ChipCard,
    ChipFile,
    ChipTally,
    HeldFile,
    Split,
    card_contents,
    split_files,
)
from labeling.chips.ground import Ground, covered
from labeling.chips.places import Places, read_places
from labeling.chips.reader import AGAIN, ChipReader, reading
from labeling.classes import IGNORE, IceClass
from labeling.errors import ConfigError
from labeling.files.marks import is_intact
from labeling.files.storage import AnyPath

_NEEDED: Final = tuple(name for name in CHIP_SCHEMA.names if not CHIP_SCHEMA.field(name).nullable)


def check_chips(chips: AnyPath, card: ChipCard, *, rank: int = 0, size: int = 1) -> None:
    """Raise ConfigError unless a folder holds the chips of its card, each split's on its own ground.

    Of the files' contents only those that fall to `rank` of `size` are read.
    """
    places = check_ground(chips, card, card.shapes)
    if not card.files:
        if rank == 0:
            _check_contents(places, card, chips)
        return
    held = {(file.split, file.scene_id): file for file in card.files}
    if held.keys() != {(place.split, place.scene_id) for place in places}:
        raise ConfigError(f"{chips} does not hold the files that chips.json lists. {AGAIN}")
    _compare([file.counted for file in card.files], card, chips)
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # digests are made outside of Python's lock
        list(
            pool.map(lambda place: _check_file(place, held[place.split, place.scene_id]), places[rank::size])
        )


def _check_file(place: Places, known: HeldFile) -> None:
    with reading(place.file):
        intact = is_intact(place.file, {"bytes": known.bytes, "sha256": known.sha256})
    if not intact or len(place.rows) != known.chips:
        raise ConfigError(f"{place.file} is not the file that chips.json lists: its digest differs. {AGAIN}")


class ChipPath(NamedTuple):
    """A file of chips."""

    file: AnyPath
    split: Split


def read_all_places(files: Sequence[ChipPath], card: ChipCard) -> list[Places]:
    """Return where the chips of each file lie; ConfigError where one is no file of the card's chips."""
    return [read_places(file, split, card.size, whole=not card.files) for file, split in files]


def check_ground(
    chips: AnyPath,
    card: ChipCard,
    shapes: Mapping[str, tuple[int, int]],
    read: Callable[[Sequence[ChipPath], ChipCard], list[Places]] = read_all_places,
) -> list[Places]:
    """Return where all chips lie; ConfigError where one lies outside its scene, twice, or in two splits.

    `shapes` are the rows and columns of scenes, as far as they are known. `read` does what `read_all_places`
    does, in its order.
    """
    places = read([ChipPath(file, split) for split in SPLITS for file in split_files(chips, split)], card)
    for split in SPLITS:
        found = sum(len(place.rows) for place in places if place.split == split)
        if found != card.counts.get(split, 0):
            raise ConfigError(
                f"{chips}/split={split} holds {found} chips, chips.json says {card.counts.get(split, 0)}: "
                f"files are missing or left over. {AGAIN}"
            )
    for place in places:
        _check_inside(place, card.size, shapes.get(place.scene_id))
    _check_apart(places, card.size, chips)
    if card.split_by == "scene":
        _check_groups(places, chips)
    return places


def _check_groups(places: Sequence[Places], chips: AnyPath) -> None:
    """Raise ConfigError when two splits share an acquisition, though chips.json says that none do."""
    for one, other in combinations(SPLITS, 2):
        first, second = (
            {group for place in places if place.split == split for group in place.groups}
            for split in (one, other)
        )
        if shared := sorted(first & second):
            raise ConfigError(f"{chips} has chips of {shared[0]} in {one} and in {other}. {AGAIN}")


def check_codes(label: NDArray[np.uint8], file: AnyPath) -> None:
    """Raise ConfigError when a label holds anything but class codes."""
    # A comparison takes a tenth of the time of a table.
    others = label[(label > max(IceClass)) & (label != IGNORE)]
    if others.size:
        other = int(others[0])
        raise ConfigError(f"{file} holds the label code {other}, and labels are 0, 1, 2 or {IGNORE}. {AGAIN}")


def _check_inside(place: Places, size: int, shape: tuple[int, int] | None) -> None:
    """Raise ConfigError unless the chips of a file lie inside their scene and nowhere twice."""
    height, width = shape or (np.iinfo(np.int64).max, np.iinfo(np.int64).max)
    outside = (
        (place.rows < 0) | (place.columns < 0) | (place.rows + size > height) | (place.columns + size > width)
    )
    if outside.any():
        index = int(outside.argmax())
        raise ConfigError(
            f"{place.file} holds a chip at row {place.rows[index]}, column {place.columns[index]} of "
            f"{place.scene_id}, which lies outside the scene. {AGAIN}"
        )
    corners = set(zip(place.rows.tolist(), place.columns.tolist(), strict=True))
    if len(corners) != len(place.rows):
        raise ConfigError(f"{place.file} holds a chip of {place.scene_id} twice. {AGAIN}")


def _check_apart(places: Sequence[Places], size: int, chips: AnyPath) -> None:
    """Raise ConfigError when two splits share ground."""
    for one, other in combinations(SPLITS, 2):
        first, second = ([place for place in places if place.split == split] for split in (one, other))
        shared = _shared_pixels(first, second, size)
        if not shared:
            grounds = [_grounds(part, size) for part in _meeting(first, second, size)]
            shared = int(covered(*grounds).sum()) if all(grounds) else 0
        if shared:
            raise ConfigError(
                f"{shared} chip(s) of {one} in {chips} show ground that {other} chips show too, so figures "
                f"on either would be too good. {AGAIN}"
            )


def _shared_pixels(first: Sequence[Places], second: Sequence[Places], size: int) -> int:
    """Return how many chips of `first` share pixels of one scene with chips of `second`."""
    others = {place.scene_id: place for place in second}
    count = 0
    for place in first:
        if (twin := others.get(place.scene_id)) is not None:
            near = {
                (row + down, column + right)
                for row, column in zip(
                    (twin.rows // size).tolist(), (twin.columns // size).tolist(), strict=True
                )
                for down in (-1, 0, 1)
                for right in (-1, 0, 1)
            }
            cells = zip((place.rows // size).tolist(), (place.columns // size).tolist(), strict=True)
            for index in [i for i, cell in enumerate(cells) if cell in near]:
                rows, columns = abs(twin.rows - place.rows[index]), abs(twin.columns - place.columns[index])
                count += bool(((rows < size) & (columns < size)).any())
    return count


def _meeting(first: Sequence[Places], second: Sequence[Places], size: int) -> list[list[Places]]:
    """Return those files of either whose chips could share ground with the other's, by where they lie.

    Of very many scenes most lie nowhere near another split's, and need not be looked at chip by chip.
    """
    parts = [[(place, place.scene) for place in part if place.scene is not None] for part in (first, second)]
    if not all(parts):
        return [[], []]
    rims = [[_rim(place, scene, size) for place, scene in part] for part in parts]
    near = [covered(*rims), covered(*reversed(rims))]
    return [
        [place for (place, _), hit in zip(part, hits, strict=True) if hit]
        for part, hits in zip(parts, near, strict=True)
    ]


def _rim(place: Places, scene: Ground, size: int) -> Ground:
    """Return a rectangle of the scene's grid with all chips of a file and a chip more on each side."""
    top, left = int(place.rows.min()) - size, int(place.columns.min()) - size
    corner = scene.part(top, left, size)
    height, width = int(place.rows.max()) + 2 * size - top, int(place.columns.max()) + 2 * size - left
    return corner._replace(height=height, width=width)


def _grounds(places: Sequence[Places], size: int) -> list[Ground]:
    return [
        place.scene.part(row, column, size)
        for place in places
        if place.scene is not None
        for row, column in zip(place.rows.tolist(), place.columns.tolist(), strict=True)
    ]


def _check_contents(places: Sequence[Places], card: ChipCard, chips: AnyPath) -> None:
    """Read every chip, and raise ConfigError unless types, sizes, codes and the card's sums are right."""
    found = []
    for place in places:
        tally = ChipTally()
        with ChipReader(place.file, card.size) as chips_of_file:
            for group in range(len(chips_of_file)):
                table = chips_of_file.read(group)
                if any(table.column(name).null_count for name in _NEEDED):
                    raise ConfigError(f"{place.file} holds a chip without all its values. {AGAIN}")
                image, label = (table.column(name)[0].as_buffer() for name in ("image", "label"))
                if (len(image), len(label)) != (card.size**2 * card.channels, card.size**2):
                    raise ConfigError(
                        f"chip {group} of {place.file} is not {card.size} x {card.size} pixels as chips.json "
                        f"says. {AGAIN}"
                    )
                check_codes(np.frombuffer(label, np.uint8), place.file)
                tally.add(image, label)
        found.append(tally.of(place.split, place.scene_id))
    _compare(found, card, chips)


def _compare(files: Sequence[ChipFile], card: ChipCard, chips: AnyPath) -> None:
    """Raise ConfigError unless the card's sums are those of its files, and possible."""
    for file in files:
        if min(file.pixels) < 0 or sum(file.pixels) > file.chips * card.size**2:
            raise ConfigError(
                f"{chips}/chips.json says that {file.chips} chips of {file.scene_id} show {file.pixels} "
                f"pixels of the classes, which cannot be. {AGAIN}"
            )
    for key, value in card_contents(files).items():
        if getattr(card, key) != value:
            raise ConfigError(f"{chips}/chips.json says another {key} than its files have. {AGAIN}")
