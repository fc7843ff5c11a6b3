"""Leaving out training chips that show too little to learn from: a network names them, some kinds go.

chips/split=train/<scene_id>.parquet -- a batch at a time through the network --> out/split=train/…
chips/split=val/… and split=test/… -- whole, so that figures stay honest --> out/split=val/… and split=test/…

The folder has a card like any other and is trained on like any other. It appears whole or not at all.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import sha256
from itertools import groupby, islice
from operator import attrgetter
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from rich.console import Console
from rich.progress import track

from labeling.chips.card import (
    CARD_FILE,
    SPLITS,
    ChipCard,
    HeldFile,
    card_contents,
    held_file,
    split_files,
)
from labeling.chips.check import check_chips
from labeling.chips.kinds import ChipKind
from labeling.errors import ConfigError, ModelError
from labeling.files.atomic import replacing, write_json
from labeling.files.fields import LocalPath
from labeling.files.layout import record_job, run_of
from labeling.settings import Settings
from training.data.files import Record, pixels, records, write_records
from training.data.store import ChipStore
from training.predict import Predictor

KindName = Literal["water", "thin_ice", "thick_ice", "mixed", "cloud"]


class SieveConfig(Settings):
    """Which chips to sieve, by which model, and what to leave out."""

    chips: LocalPath = Field(description="chips folder, as jobs.label writes it")
    model: LocalPath = Field(description="model folder of a training with task: classify")
    out: LocalPath = Field(description="chips folder to write")
    drop: tuple[KindName, ...] = Field(("cloud",), min_length=1, description="kinds to leave out")
    keep_share: float = Field(
        0.0, ge=0, lt=1, description="share of their chips, drawn by seed, that is kept all the same"
    )
    seed: int = Field(2024, ge=0, description="decides which those are")
    batch_size: int = Field(32, ge=1, description="chips the network is given at once")
    threads: int | None = Field(None, ge=1, description="CPU threads; None: all cores")


class Sieved(NamedTuple):
    """How many training chips of each kind, as the network names them, were kept and dropped."""

    kept: Counter[ChipKind]
    dropped: Counter[ChipKind]

    def as_dict(self) -> dict[str, dict[str, int]]:
        """Return a JSON-safe mapping: kept, dropped -> name of a kind -> chips."""
        return {
            name: {kind.name.lower(): chips[kind] for kind in ChipKind}
            for name, chips in self._asdict().items()
        }

    def line(self) -> str:
        """Return it in words."""
        parts = [
            f"{kind.title} {self.kept[kind]} of {self.kept[kind] + self.dropped[kind]}" for kind in ChipKind
        ]
        kept, dropped = self.kept.total(), self.dropped.total()
        return f"kept {kept} of {kept + dropped} training chips: {', '.join(parts)}"


def run(config: SieveConfig) -> Sieved:
    """Write the sieved chips folder.

    Raises ConfigError for folders that cannot be used and when no training chip would be left, ModelError
    for a model that names no kinds or was trained on another rendering, OutputError when the disk is full.
    """
    started = time.time()
    predictor = Predictor.load(config.model, batch=config.batch_size, threads=config.threads, task="classify")
    card = _checked(config, predictor)
    counts = Sieved(Counter(), Counter())
    try:
        with replacing(config.out) as folder:
            files = list(_write_splits(config, card, predictor, folder, counts))
            if not counts.kept:
                raise ConfigError(
                    f"nothing would be left to train on: {counts.line()}. Drop fewer kinds, or raise "
                    "keep_share."
                )
            contents = card_contents(file.counted for file in files)
            sieved = card.model_copy(
                update=contents | {"files": tuple(files), "note": _note(card, config, counts)}
            )
            write_json(folder / CARD_FILE, sieved.model_dump(mode="json"))
    except OSError as error:
        raise ConfigError(
            f"cannot write to {config.out}: {error.strerror or error}. Choose another with --out."
        ) from None
    if (run_folder := run_of(config.chips)) is not None:
        record_job(run_folder, "sieve", started, config.model_dump(mode="json"), counts.as_dict())
    return counts


def _checked(config: SieveConfig, predictor: Predictor) -> ChipCard:
    """Return the chips' card; ConfigError or ModelError when chips, model and output do not go together."""
    if config.out.exists():
        raise ConfigError(
            f"{config.out} exists already: choose another folder with --out, or delete it first"
        )
    for split in SPLITS:
        card = ChipStore(config.chips, split).card
    check_chips(config.chips, card)
    if card.rendering != predictor.card.rendering:
        raise ModelError(
            f"the model in {config.model} was trained on rendering {predictor.card.rendering}, and the chips "
            f"in {config.chips} are {card.rendering}. Train one on such chips: jobs/conf/train-kinds.yaml."
        )
    return card


def _write_splits(
    config: SieveConfig, card: ChipCard, predictor: Predictor, folder: Path, counts: Sieved
) -> Iterator[HeldFile]:
    for split in SPLITS:
        chips = records(split_files(config.chips, split), card.size)
        if split == "train":
            chips = _sieved(_shown(chips, card.counts[split]), card.size, config, predictor, counts)
        for file, held in groupby(chips, attrgetter("file")):
            target = folder / f"split={split}" / file.name
            counted = write_records(held, target).of(split, file.stem)
            yield held_file(target, counted, card.shapes.get(file.stem))


def _sieved(
    chips: Iterable[Record], size: int, config: SieveConfig, predictor: Predictor, counts: Sieved
) -> Iterator[Record]:
    """Pass on, and count, the chips that are kept; `size` is their side, pixels."""
    chips = iter(chips)
    while batch := list(islice(chips, config.batch_size)):
        images = np.stack([_image(chip, size) for chip in batch])
        codes = predictor.predict(images)[:, 0, 0].argmax(axis=-1)
        for chip, kind in zip(batch, map(ChipKind, codes), strict=True):
            kept = kind.name.lower() not in config.drop or _drawn(chip, config)
            (counts.kept if kept else counts.dropped)[kind] += 1
            if kept:
                yield chip


def _image(chip: Record, size: int) -> NDArray[np.uint8]:
    try:
        return pixels(chip.row, "image").reshape(size, size, 3)
    except ValueError:
        raise ConfigError(
            f"{chip.file} holds a chip that is not {size} x {size} pixels as chips.json says. "
            "Make the chips again with python -m jobs.label."
        ) from None


def _drawn(chip: Record, config: SieveConfig) -> bool:
    """Tell whether a chip belongs to the share that is kept; depends on the seed and its place only."""
    place = ":".join(str(chip.row.column(name)[0]) for name in ("scene_id", "row", "column"))
    number = int.from_bytes(sha256(f"{config.seed}:{place}".encode()).digest()[:8])
    return number < config.keep_share * 2**64


def _note(card: ChipCard, config: SieveConfig, counts: Sieved) -> str:
    names = " or ".join(ChipKind[name.upper()].title for name in config.drop)
    dropped, kept = counts.dropped.total(), counts.kept.total()
    told = (
        f"Sieved: {dropped} of {dropped + kept} training chips, which a network named {names}, are left out."
    )
    return f"{card.note} {told}".strip()


def _shown(chips: Iterable[Record], count: int) -> Iterable[Record]:
    """Pass the chips on, with a progress bar when a person is watching standard error."""
    if not sys.stderr.isatty():
        return chips
    return track(chips, "sieving", total=count, console=Console(stderr=True), transient=True)
