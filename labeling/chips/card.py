"""The training chip: its Parquet schema and the card (`chips.json`) that describes a folder of chips.

chips/
  chips.json                       the card
  split=train/<scene_id>.parquet   one row group per chip, so that a rank reads exactly its own chips
  split=val/…
  split=test/…
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Self, overload

import numpy as np
import pyarrow as pa
from pydantic import Field, ValidationError, model_validator

from labeling.classes import CLASS_COUNT
from labeling.errors import ConfigError
from labeling.files.marks import digest_of
from labeling.files.storage import AnyPath
from labeling.scene_id import SceneId
from labeling.settings import Settings, describe_invalid
from labeling.uncollected import uncollected

Split = Literal["train", "val", "test"]
SPLITS: Final[tuple[Split, ...]] = ("train", "val", "test")

LARGEST: Final = 16384
"""Side of a chip, pixels, at most: a picture of 16384 x 16384 takes 768 MiB."""

CHIP_SCHEMA: Final = pa.schema(
    [
        pa.field("scene_id", pa.string(), nullable=False),
        pa.field("group", pa.string(), nullable=False),  # of scenes that share ground or a datatake
        pa.field("row", pa.int32(), nullable=False),  # of the upper left pixel, in the scene
        pa.field("column", pa.int32(), nullable=False),
        pa.field("crs", pa.string()),  # WKT, null without georeference
        pa.field("transform", pa.list_(pa.float64(), 6)),  # affine a, b, c, d, e, f of the chip
        pa.field("image", pa.binary(), nullable=False),  # u8, size x size x channels, C order, R G B
        pa.field("label", pa.binary(), nullable=False),  # u8, size x size, C order, IceClass codes
        pa.field("class_fractions", pa.list_(pa.float32(), 3), nullable=False),  # of the labelled pixels
        pa.field("ignore_fraction", pa.float32(), nullable=False),  # of all pixels
        pa.field("cloud_fraction", pa.float32()),  # null where no cloud mask was made
    ]
)


class ChipFile(NamedTuple):
    """What one Parquet file of chips holds; `ChipTally` counts it."""

    split: Split
    scene_id: str
    chips: int
    pixels: tuple[int, ...]
    """Labelled pixels of each class."""
    digest: str
    """sha256 over images and labels."""


class HeldFile(Settings):
    """One Parquet file of a folder of chips, as it was written."""

    split: Split
    scene_id: SceneId
    chips: int = Field(ge=1)
    pixels: tuple[int, int, int]
    digest: str
    """sha256 over images and labels."""
    bytes: int
    sha256: str
    """Of the file, which is quicker to see to than what is in it."""
    height: int | None = None
    width: int | None = None
    """Of the scene, pixels; None where that is not known any more."""

    @property
    def counted(self) -> ChipFile:
        """What its chips add up to."""
        return ChipFile(self.split, self.scene_id, self.chips, self.pixels, self.digest)


def held_file(file: Path, counted: ChipFile, shape: tuple[int, int] | None) -> HeldFile:
    """Return a written file for the card; `shape` are the rows and columns of its scene."""
    height, width = shape or (None, None)
    own = {"bytes": file.stat().st_size, "sha256": digest_of(file), "height": height, "width": width}
    return HeldFile.model_validate(counted._asdict() | own)


class ChipCard(Settings):
    """What a folder of chips holds; written beside them as `chips.json`."""

    format: Literal["polynya-chips-1"] = "polynya-chips-1"
    profile: str
    profile_version: int
    rendering: str
    size: int = Field(ge=1, le=LARGEST)
    channels: int
    split_by: Literal["scene", "block"]
    gap: int
    """Pixels kept free between splits inside one scene; 0 when split by scene."""
    counts: dict[Split, int]
    class_pixels: dict[Split, tuple[int, int, int]]
    scenes: dict[Split, list[SceneId]]
    cut_points: tuple[int, int] | None = None
    """Highest V of open water and of thin ice in the labelling profile; None in older folders."""
    note: str = ""
    digest: str
    """sha256 over images, labels and splits: two folders with one digest train the same model."""
    files: tuple[HeldFile, ...] = ()
    """The folder's files; empty in older cards, where chips are read whole to see whether they are right."""

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """Rows and columns of the scenes, as far as the card says."""
        return {
            file.scene_id: (file.height, file.width)
            for file in self.files
            if file.height is not None and file.width is not None
        }

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for split in SPLITS:
            pixels = self.class_pixels.get(split, (0, 0, 0))
            if min(self.counts.get(split, 0), *pixels) < 0:
                raise ValueError(f"no split can hold {self.counts.get(split)} chips or {pixels} pixels")
        return self


CARD_FILE: Final = "chips.json"


class ChipTally:
    """Counts chips as they are written to a file, or read from it, in its order."""

    def __init__(self) -> None:
        self.chips, self._pixels, self._digest = 0, np.zeros(CLASS_COUNT, np.int64), sha256()

    def add(self, image: bytes | pa.Buffer, label: bytes | pa.Buffer) -> None:
        """Count one chip: u8, size x size x channels and size x size, C order."""
        self.chips += 1
        self._pixels += np.bincount(np.frombuffer(label, np.uint8), minlength=256)[:CLASS_COUNT]
        self._digest.update(image)
        self._digest.update(label)

    def of(self, split: Split, scene_id: str) -> ChipFile:
        """Return what was counted, as the file of a split and scene."""
        return ChipFile(split, scene_id, self.chips, tuple(self._pixels.tolist()), self._digest.hexdigest())


def card_contents(files: Iterable[ChipFile]) -> dict[str, Any]:
    """Return what a card says of all its folder's files: counts, class_pixels, scenes and digest."""
    held = sorted((file for file in files if file.chips), key=lambda file: file[:2])
    of = {split: [file for file in held if file.split == split] for split in SPLITS}
    lines = sorted(f"{file.split} {file.scene_id} {file.digest}" for file in held)
    return {
        "counts": {split: sum(file.chips for file in of[split]) for split in SPLITS},
        "class_pixels": {
            split: tuple(sum(file.pixels[code] for file in of[split]) for code in range(CLASS_COUNT))
            for split in SPLITS
        },
        "scenes": {split: [file.scene_id for file in of[split]] for split in SPLITS},
        "digest": sha256("\n".join(lines).encode()).hexdigest(),
    }


@overload
def split_files(chips: Path, split: Split) -> list[Path]: ...
@overload
def split_files(chips: AnyPath, split: Split) -> list[AnyPath]: ...
def split_files(chips: AnyPath, split: Split) -> Sequence[AnyPath]:
    """Return the Parquet files of one split in a fixed order; empty when the split has no chips."""
    return sorted((chips / f"split={split}").glob("*.parquet"), key=str)


@uncollected()
def read_card(chips: AnyPath) -> ChipCard:
    """Read the card of a chips folder; ConfigError when the folder holds no chips."""
    card = chips / CARD_FILE
    if not card.is_file():
        raise ConfigError(
            f"no chips in {chips}: {card.name} is missing. Make chips first: "
            "python -m jobs.label --scenes … --out RUN --outputs labels,chips, then use RUN/chips."
        )
    try:
        return ChipCard.model_validate_json(card.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        problem = describe_invalid(error) if isinstance(error, ValidationError) else str(error)
        raise ConfigError(
            f"{card} is not a chip card this version can read: {problem}. Make the chips again with "
            "python -m jobs.label."
        ) from None
