"""Writes small chips folders with known content: patches of the three classes that brightness tells apart."""

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from labeling.chip import CHIP_SCHEMA, ChipCard
from labeling.classes import IGNORE
from labeling.raster import write_json

LEVELS = np.array([15, 110, 235])
"""Brightness of the classes, in the order of their codes."""


def make_chip(size, rng, ignore=0.0):
    """Return (image, label): 8 px patches, noisy, with a share `ignore` of the rows cut off from the top."""
    coarse = rng.integers(0, 3, (size // 8, size // 8))
    label = np.kron(coarse, np.ones((8, 8), np.int64)).astype(np.uint8)
    noisy = LEVELS[label][..., None] * [1.0, 0.98, 0.95] + rng.normal(0, 6, (size, size, 3))
    image = np.clip(noisy, 1, 255).astype(np.uint8)
    label[: round(size * ignore)] = IGNORE
    return image, label


def write_chips(folder, *, train=8, val=4, test=0, size=32, seed=0, uneven=False, per_file=3):
    """Write a chips folder as jobs.label does and return it.

    `uneven` gives the chips shares of ignored pixels between none and all.
    """
    rng = np.random.default_rng(seed)
    digest, counts, pixels, scenes = hashlib.sha256(), {}, {}, {}
    for split, count in (("train", train), ("val", val), ("test", test)):
        ignores = [0.0, 0.9, 0.3, 1.0] if uneven else [0.0, 0.25]
        chips = [make_chip(size, rng, ignores[i % len(ignores)]) for i in range(count)]
        names = []
        for start in range(0, count, per_file):
            names.append(f"{split}-scene-{start // per_file:03d}")
            _write_file(
                folder / f"split={split}" / f"{names[-1]}.parquet", names[-1], chips[start:][:per_file]
            )
        for image, label in chips:
            digest.update(split.encode() + image.tobytes() + label.tobytes())
        labels = np.concatenate([label.ravel() for _, label in chips] or [np.zeros(0, np.uint8)])
        counts[split], scenes[split] = count, names
        pixels[split] = tuple(np.bincount(labels[labels != IGNORE], minlength=3).tolist())
    card = ChipCard(
        profile="polynya", profile_version=1, rendering="rgb8", size=size, channels=3,
        split_by="scene", gap=0, counts=counts, class_pixels=pixels, scenes=scenes, digest=digest.hexdigest(),
    )  # fmt: skip
    write_json(folder / "chips.json", card.model_dump(mode="json"))
    return folder


def _write_file(file, scene_id, chips):
    file.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(file, CHIP_SCHEMA) as writer:
        for row, (image, label) in enumerate(chips):
            labelled = label[label != IGNORE]
            fractions = [float((labelled == code).sum() / max(labelled.size, 1)) for code in range(3)]
            record = {
                "scene_id": scene_id, "group": scene_id, "row": row * len(label), "column": 0,
                "crs": None, "transform": None, "image": image.tobytes(), "label": label.tobytes(),
                "class_fractions": fractions, "cloud_fraction": None,
                "ignore_fraction": float((label == IGNORE).mean()),
            }  # fmt: skip
            writer.write_table(pa.Table.from_pylist([record], CHIP_SCHEMA), row_group_size=1)
