"""The training chip: its Parquet schema and the card (`chips.json`) that describes a folder of chips.

chips/
  chips.json                       the card
  split=train/<scene_id>.parquet   one row group per chip, so that a rank reads exactly its own chips
  split=val/…
  split=test/…
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, overload

import pyarrow as pa
from pydantic import ValidationError

from labeling.errors import ConfigError
from labeling.settings import Settings
from labeling.storage import AnyPath

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
        pa.field("label", pa.binary(), nullable=False),  # u8, size x size, C order, codes of classes.py
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
    note: str = ""
    digest: str
    """sha256 over images, labels and splits: two folders with one digest train the same model."""


@overload
def split_files(chips: Path, split: Split) -> list[Path]: ...
@overload
def split_files(chips: AnyPath, split: Split) -> list[AnyPath]: ...
def split_files(chips: AnyPath, split: Split) -> Sequence[AnyPath]:
    """Return the Parquet files of one split in a fixed order; empty when the split has no chips."""
    return sorted((chips / f"split={split}").glob("*.parquet"), key=str)


def read_card(chips: AnyPath) -> ChipCard:
    """Read the card of a chips folder; ConfigError when the folder holds no chips."""
    card = chips / "chips.json"
    if not card.is_file():
        raise ConfigError(
            f"no chips in {chips}: {card.name} is missing. Make chips first: "
            "python -m jobs.label --scenes … --out RUN --outputs labels,chips, then use RUN/chips."
        )
    try:
        return ChipCard.model_validate_json(card.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise ConfigError(f"{card} is not a chip card this version can read: {error}") from None
