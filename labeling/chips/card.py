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
from typing import Any, Final, Literal, NamedTuple, overload

import numpy as np
import pyarrow as pa
from pydantic import ValidationError

from labeling.classes import CLASS_COUNT
from labeling.errors import ConfigError
from labeling.files.storage import AnyPath
from labeling.settings import Settings

Split = Literal["train", "val", "test"]
SPLITS: Final[tuple[Split, ...]] = ("train", "val", "test")

CHIP_SCHEMA: Final = pa.schema(
    [
        pa.field("scene_id", pa.string(), nullable=False),
        pa.field("group", pa.string(), nullable=False),  # acquisition; the scene itself for a plain file
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


class ChipCard(Settings):
    """What a folder of chips holds; written beside them as `chips.json`."""

    format: Literal["polynya-chips-1"] = "polynya-chips-1"
    profile: str
    profile_version: int
    rendering: str
    size: int
    channels: int
    split_by: Literal["scene", "block"]
    gap: int
    """Pixels kept free between splits inside one scene; 0 when split by scene."""
    counts: dict[Split, int]
    class_pixels: dict[Split, tuple[int, int, int]]
    scenes: dict[Split, list[str]]
    cut_points: tuple[int, int] | None = None
    """Highest V of open water and of thin ice in the labelling profile; None in older folders."""
    note: str = ""
    digest: str
    """sha256 over images, labels and splits: two folders with one digest train the same model."""


CARD_FILE: Final = "chips.json"


class ChipFile(NamedTuple):
    """What one Parquet file of chips holds; `ChipTally` counts it."""

    split: Split
    scene_id: str
    chips: int
    pixels: tuple[int, ...]
    """Labelled pixels of each class."""
    digest: str
    """sha256 over images and labels."""


class ChipTally:
    """Counts chips as they are written to a file, or read from it, in its order."""

    def __init__(self) -> None:
        self.chips, self._pixels, self._digest = 0, np.zeros(CLASS_COUNT, np.int64), sha256()

    def add(self, image: bytes, label: bytes) -> None:
        """Count one chip: u8, size x size x channels and size x size, C order."""
        self.chips += 1
        self._pixels += np.bincount(np.frombuffer(label, np.uint8), minlength=256)[:CLASS_COUNT]
        self._digest.update(image + label)

    def of(self, split: Split, scene_id: str) -> ChipFile:
        """Return what was counted, as the file of a split and scene."""
        return ChipFile(split, scene_id, self.chips, tuple(self._pixels.tolist()), self._digest.hexdigest())


def card_contents(files: Iterable[ChipFile]) -> dict[str, Any]:
    """Return what a card says of its folder's files: counts, class_pixels, scenes and digest."""
    held = sorted(file for file in files if file.chips)
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
    except ValidationError as error:
        raise ConfigError(f"{card} is not a chip card this version can read: {error}") from None
