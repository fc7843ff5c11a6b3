"""Valid examples of files with pixels: pictures, stacks, bands and zips of products, files of chips."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import rasterio
from numpy.typing import NDArray
from rasterio.transform import from_origin

from labeling.chips.card import CARD_FILE, CHIP_SCHEMA, SPLITS, ChipCard, ChipTally, card_contents, read_card
from labeling.chips.check import check_chips
from labeling.files.atomic import write_json
from labeling.files.raster import quiet_georeference
from training.data.files import records
from training.data.store import ChipStore

CHIP: Final = 16
"""Side of a chip."""


def write_picture(file: Path, side: int) -> Path:
    """Write an RGB picture in tiles, or what the ending says."""
    values = _values(side, np.uint8)
    options = {"tiled": True, "blockxsize": 32, "blockysize": 32, "compress": "deflate"}
    with (
        quiet_georeference(),
        rasterio.open(
            file, "w", dtype="uint8", count=3, height=side, width=side,
            **({"driver": "PNG"} if file.suffix == ".png" else {"driver": "GTiff"} | options),
        ) as raster,
    ):  # fmt: skip
        raster.write(values)
    return file


def write_stack(file: Path, side: int) -> Path:
    """Write a GeoTIFF whose bands are named, in strips of LZW with a predictor."""
    with rasterio.open(
        file, "w", driver="GTiff", dtype="uint16", count=3, height=side, width=side, nodata=0,
        crs="EPSG:32758", transform=from_origin(399_960, 1_700_040, 10, 10), compress="lzw", predictor=2,
    ) as raster:  # fmt: skip
        raster.write(_values(side, np.uint16) + 1001)
        raster.descriptions = ("B02", "B03", "B04")
        raster.update_tags(PRODUCT_TYPE="L1C", QUANTIFICATION_VALUE="10000", RADIO_ADD_OFFSET="-1000")
    return file


def write_zip(product: Path) -> Path:
    """Pack a product's folder; return the zip beside it."""
    return Path(shutil.make_archive(str(product.with_suffix("")), "zip", product.parent, product.name))


def write_chips(folder: Path) -> Path:
    """Write a folder of one file of two chips; return the file."""
    file = folder / "split=train" / "scene-a.parquet"
    file.parent.mkdir(parents=True)
    tally = ChipTally()
    with pq.ParquetWriter(file, CHIP_SCHEMA, compression="zstd") as writer:
        for number in range(2):
            image = _values(CHIP, np.uint8).tobytes()
            label = (np.arange(CHIP**2) % 3).astype(np.uint8).tobytes()
            record = {
                "scene_id": "scene-a", "group": "a", "row": 0, "column": number * CHIP, "crs": None,
                "transform": None, "image": image, "label": label, "class_fractions": [0.3, 0.3, 0.4],
                "ignore_fraction": 0.0, "cloud_fraction": None,
            }  # fmt: skip
            writer.write_table(pa.Table.from_pylist([record], schema=CHIP_SCHEMA))
            tally.add(image, label)
    card = ChipCard(
        profile="polynya", profile_version=1, rendering="rgb8", size=CHIP, channels=3, split_by="block",
        gap=0, **card_contents([tally.of("train", "scene-a")]),
    )  # fmt: skip
    write_json(folder / CARD_FILE, card.model_dump(mode="json"))
    return file


def read_chips(folder: Path) -> None:
    """Read all chips, as trainings and the sieve do, and check them; the check would hide what they do."""
    for split in SPLITS:
        store = ChipStore(folder, split, "classify" if split == "train" else "segment")
        for index in range(len(store)):
            store[index]
    for _ in records([folder / "split=train" / "scene-a.parquet"], CHIP):
        pass
    check_chips(folder, read_card(folder))


def _values(side: int, dtype: type[np.unsignedinteger]) -> NDArray[np.unsignedinteger]:
    return (np.arange(3 * side * side) * 7 % 251).reshape(3, side, side).astype(dtype)
