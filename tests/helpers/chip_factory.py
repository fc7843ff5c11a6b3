"""Writes small chips folders with known content: patches of the three classes that brightness tells apart."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from labeling.chips.card import CHIP_SCHEMA, ChipCard, ChipTally, card_contents
from labeling.chips.kinds import ChipKind
from labeling.classes import IGNORE
from labeling.files.atomic import write_json

LEVELS = np.array([15, 110, 235])
"""Brightness of the classes, in the order of their codes."""


def make_chip(size, rng, ignore=0.0, least=0):
    """Return (image, label): 8 px patches, noisy, with a share `ignore` of the rows cut off from the top.

    `least` is the first class that is shown.
    """
    coarse = rng.integers(least, 3, (size // 8, size // 8))
    label = np.kron(coarse, np.ones((8, 8), np.int64)).astype(np.uint8)
    noisy = LEVELS[label][..., None] * [1.0, 0.98, 0.95] + rng.normal(0, 6, (size, size, 3))
    image = np.clip(noisy, 1, 255).astype(np.uint8)
    label[: round(size * ignore)] = IGNORE
    return image, label


def make_kind_chip(kind, size, rng):
    """Return (image, label, share of cloud) of a chip of a kind; 255 for one of which nobody knows the kind.

    Clouds are bluish, so that they can be told from ice.
    """
    image, label = make_chip(size, rng)
    tint, cloud = [1.0, 0.98, 0.95], 0.0
    if kind < ChipKind.MIXED:
        label[:] = kind
    if kind != ChipKind.MIXED:
        level = LEVELS[kind] if kind < ChipKind.MIXED else 170
        tint = tint if kind < ChipKind.MIXED else [0.6, 0.8, 1.0]
        image = np.clip(level * np.array(tint) + rng.normal(0, 6, image.shape), 1, 255).astype(np.uint8)
    if kind >= ChipKind.CLOUD:
        label[:] = IGNORE
        cloud = 1.0 if kind == ChipKind.CLOUD else 0.0
    return image, label, cloud


def write_chips(folder, *, train=8, val=4, test=0, size=32, seed=0, uneven=False, per_file=3, least=0):
    """Write a chips folder as jobs.label does and return it.

    `uneven` gives the chips shares of ignored pixels between none and all; `least` is the first class shown.
    """
    rng = np.random.default_rng(seed)
    ignores = [0.0, 0.9, 0.3, 1.0] if uneven else [0.0, 0.25]
    chips = {
        split: [(*make_chip(size, rng, ignores[i % len(ignores)], least), None) for i in range(count)]
        for split, count in (("train", train), ("val", val), ("test", test))
    }
    return _write_folder(folder, chips, size, per_file)


def write_kind_chips(folder, *, train, val=(), test=(), size=32, seed=0, per_file=3):
    """Write a chips folder; `train`, `val` and `test` name the kind of each chip."""
    rng = np.random.default_rng(seed)
    chips = {
        split: [make_kind_chip(kind, size, rng) for kind in kinds]
        for split, kinds in (("train", train), ("val", val), ("test", test))
    }
    return _write_folder(folder, chips, size, per_file)


def _write_folder(folder, chips, size, per_file):
    files = []
    for split, of_split in chips.items():
        for start in range(0, len(of_split), per_file):
            scene = f"{split}-scene-{start // per_file:03d}"
            file = folder / f"split={split}" / f"{scene}.parquet"
            files.append(_write_file(file, scene, of_split[start:][:per_file]).of(split, scene))
    card = ChipCard(
        profile="polynya", profile_version=1, rendering="rgb8", size=size, channels=3, cut_points=(30, 204),
        split_by="scene", gap=0, **card_contents(files),
    )  # fmt: skip
    write_json(folder / "chips.json", card.model_dump(mode="json"))
    return folder


def _write_file(file, scene_id, chips):
    file.parent.mkdir(parents=True, exist_ok=True)
    tally = ChipTally()
    with pq.ParquetWriter(file, CHIP_SCHEMA) as writer:
        for row, (image, label, cloud) in enumerate(chips):
            labelled = label[label != IGNORE]
            fractions = [float((labelled == code).sum() / max(labelled.size, 1)) for code in range(3)]
            record = {
                "scene_id": scene_id, "group": scene_id, "row": row * len(label), "column": 0,
                "crs": None, "transform": None, "image": image.tobytes(), "label": label.tobytes(),
                "class_fractions": fractions, "cloud_fraction": cloud,
                "ignore_fraction": float((label == IGNORE).mean()),
            }  # fmt: skip
            writer.write_table(pa.Table.from_pylist([record], CHIP_SCHEMA), row_group_size=1)
            tally.add(image.tobytes(), label.tobytes())
    return tally
