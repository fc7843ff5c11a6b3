"""What the published tables need: chips of all four kinds of input and label, and counts on the test chips.

The input is the picture as it is or as the thin-cloud filter leaves it, the label is that of the thresholds
or that of filter and thresholds (Iqrah et al. 2024). jobs.label makes both kinds of label; from them follow,
chip by chip, the filtered pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rasterio.windows import Window

from labeling.chips.card import (
    CHIP_SCHEMA,
    SPLITS,
    ChipCard,
    ChipTally,
    card_contents,
    held_file,
    read_card,
    split_files,
)
from labeling.errors import ConfigError
from labeling.files.atomic import replacing, write_json
from labeling.files.bucket_path import BucketPath
from labeling.files.layout import Run, read_done
from labeling.files.raster import open_raster
from labeling.files.uri import is_url
from labeling.scenes.sidecars import sidecar_path, truth_path
from pipelines.evaluation.scene import COVERED_FROM

Kind = Literal["original", "filtered"]
Labels = Literal["raw", "filtered"]

FILTERED_LEVELS: Final = (0, 155, 255)
"""What the published filter writes for open water, thin and thick ice: the filtered picture."""

CLOUDY_FROM: Final = 0.10
"""Share of a chip under cloud or shadow from which the publication counts it as cloudy."""


class HeldChip(NamedTuple):
    """A chip of the test split, which no network was trained on."""

    pictures: dict[Kind, NDArray[np.uint8]]
    """(size, size, 3) R, G, B."""
    labels: dict[Labels, NDArray[np.uint8]]
    """Class codes (size, size)."""
    truth: NDArray[np.uint8] | None
    """The same from the raster beside the scene; None where there is none."""
    covered: float | None
    """Share under cloud or shadow, 0..1; None where nobody knows."""

    @property
    def strata(self) -> tuple[str, ...]:
        """Names of the strata the chip counts in."""
        if self.covered is None:
            return ("all",)
        return "all", "cloudy" if self.covered >= CLOUDY_FROM else "clear"


def filtered_picture(label: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the filtered picture, u8 (height, width, 3), of labels by filter and thresholds."""
    table = np.zeros(256, np.uint8)
    table[: len(FILTERED_LEVELS)] = FILTERED_LEVELS
    return np.repeat(table[label][..., None], 3, axis=-1)


def write_filtered_chips(raw: Run, filtered: Run, labels: Labels, target: Path) -> Path:
    """Write chips of the filtered pictures with either kind of label; return their folder.

    `raw` and `filtered` are the runs of jobs.label without and with the filter, over the same scenes.
    """
    cards = {"raw": read_card(raw.chips), "filtered": read_card(filtered.chips)}
    _check_pair(cards["raw"], cards["filtered"])
    card = cards[labels]
    held = []
    with replacing(target) as folder:
        for split in SPLITS:
            for file in map(local, split_files(filtered.chips, split)):
                twin = local(raw.chips / f"split={split}" / file.name)
                written = folder / f"split={split}" / file.name
                tally = _write_file(written, file, twin if labels == "raw" else file)
                held.append(held_file(written, tally.of(split, file.stem), card.shapes.get(file.stem)))
        contents = card_contents(file.counted for file in held)
        card = card.model_copy(
            update=contents | {"files": tuple(held), "rendering": f"{card.rendering}-filtered"}
        )
        write_json(folder / "chips.json", card.model_dump(mode="json"))
    return target


def read_test_chips(raw: Run, filtered: Run) -> Iterator[HeldChip]:
    """Yield the test chips with all that is known of them."""
    for file in map(local, split_files(filtered.chips, "test")):
        inputs = (read_done(filtered.labels(file.stem)) or {"inputs": {"uri": ""}})["inputs"]
        twins = _rows(local(raw.chips / "split=test" / file.name))
        for row, twin in zip(_rows(file), twins, strict=True):
            side = int(len(row["label"]) ** 0.5)
            label, plain = (
                np.frombuffer(found["label"], np.uint8).reshape(side, side) for found in (row, twin)
            )
            picture = np.frombuffer(row["image"], np.uint8).reshape(side, side, 3)
            window = Window(row["column"], row["row"], side, side)
            truth, covered = _beside(inputs["uri"], window)
            yield HeldChip(
                {"original": picture, "filtered": filtered_picture(label)},
                {"raw": plain, "filtered": label},
                truth,
                row["cloud_fraction"] if covered is None else covered,
            )


def local(path: Path | BucketPath) -> Path:
    """Return a path of this machine's; ConfigError for one in a bucket."""
    if not isinstance(path, Path):
        raise ConfigError(f"the published tables are made in a folder of this machine, not in {path}")
    return path


def _check_pair(raw: ChipCard, filtered: ChipCard) -> None:
    if raw.split_by != "scene":
        raise ConfigError(
            "the published tables need at least three scenes, so that none gives chips to two splits; "
            "give more scenes"
        )
    if (raw.scenes, raw.counts, raw.size) != (filtered.scenes, filtered.counts, filtered.size):
        raise ConfigError("the runs with and without the filter do not hold the same chips; delete both")


def _write_file(target: Path, picture: Path, label: Path) -> ChipTally:
    """Write the chips of one scene: filtered pictures from the labels in `picture`, labels from `label`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    tally = ChipTally()
    with pq.ParquetWriter(target, CHIP_SCHEMA, compression="zstd") as writer:
        for row, twin in zip(_rows(picture), _rows(label), strict=True):
            image = filtered_picture(np.frombuffer(row["label"], np.uint8)).tobytes()
            record = twin | {"image": image}
            writer.write_table(pa.Table.from_pylist([record], schema=CHIP_SCHEMA))
            tally.add(record["image"], record["label"])
    return tally


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    parquet = pq.ParquetFile(file)
    for group in range(parquet.num_row_groups):
        yield from parquet.read_row_group(group).to_pylist()


def _beside(uri: str, window: Window) -> tuple[NDArray[np.uint8] | None, float | None]:
    """Return truth and share under cloud or shadow of a window, None where no such raster lies beside."""
    if not uri or is_url(uri):
        return None, None
    scene = Path(uri)
    truth = _read(truth_path(scene), window)
    skies = [_read(sidecar_path(scene, kind), window) for kind in (".cloud", ".shadow")]
    found = [sky >= COVERED_FROM for sky in skies if sky is not None]
    return truth, float(np.any(found, axis=0).mean()) if found else None


def _read(file: Path, window: Window) -> NDArray[Any] | None:
    if not file.is_file():
        return None
    with open_raster(file) as raster:
        return np.asarray(raster.read(1, window=window))
