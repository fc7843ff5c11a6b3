"""A run folder of very many tiny scenes, labelled, mapped and cut into chips, made in little time.

One scene is labelled and cut by the job itself. The others are that one at another place on the Earth: the
same file but for its tie point, folders of labels and maps that hold its files, with marks that name their
scene, and its chips under another name. What is linked is linked first, for a link touches its file, and
marks must be younger than what they mark. Splits, card and mark of the chips are made as the job makes them.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import rasterio
from affine import Affine

from labeling.chips.card import CHIP_SCHEMA, SPLITS, ChipTally
from labeling.files.layout import CLASSES, DONE, LABELS, Run
from labeling.files.marks import mark_of
from labeling.ice.profile import load_profile
from labeling.scenes.open import open_scene
from labeling.scenes.seen import look_at
from pipelines import chips
from pipelines.catalog import read_catalog, write_catalog
from pipelines.config import LabelConfig
from pipelines.engine.scenes import CatalogRow
from pipelines.label import run as label
from pipelines.many.marks import Marks

SIDE: Final = 32
"""Pixels of a scene; its chips have half of it."""

CHIP: Final = 16
_PIXEL: Final = 10.0
_APART: Final = 1000.0
"""Metres between neighbours."""

_ABREAST: Final = 400
_ORIGIN: Final = (-200_000.0, -1_400_000.0)
"""Easting and northing of the first place: the Ross Sea in EPSG:3031."""

_VISITS: Final = 4
"""Scenes of one place: they share ground, and so a split."""


def make_scenes(folder: Path, count: int) -> None:
    """Write `count` scenes, GeoTIFFs of 32 x 32 pixels in tiles of 16, unless they are there."""
    folder.mkdir(parents=True, exist_ok=True)
    template = _template(folder.parent / "template.tif")
    place = struct.pack("<2d", *_ORIGIN)
    if template.count(place) != 1:
        raise ValueError("the template has no single tie point")
    for index in range(count):
        file = folder / f"scene-{index:06}.tif"
        if not file.exists():
            file.write_bytes(template.replace(place, struct.pack("<2d", *_corner(index))))


def _corner(index: int) -> tuple[float, float]:
    """Return easting and northing of a scene's upper left corner."""
    row, column = divmod(index // _VISITS, _ABREAST)
    return _ORIGIN[0] + column * _APART, _ORIGIN[1] - row * _APART


def _template(file: Path) -> bytes:
    levels = np.random.default_rng(0).choice(np.array([12, 90, 150, 230, 245], np.uint8), (4, 4))
    picture = np.kron(levels, np.ones((SIDE // 4, SIDE // 4), np.uint8))
    layout = {"tiled": True, "blockxsize": 16, "blockysize": 16, "interleave": "pixel", "compress": "deflate"}
    transform = Affine(_PIXEL, 0, _ORIGIN[0], 0, -_PIXEL, _ORIGIN[1])
    with rasterio.open(
        file, "w", driver="GTiff", height=SIDE, width=SIDE, count=3, dtype="uint8", crs="EPSG:3031",
        transform=transform, **layout,
    ) as target:  # fmt: skip
        target.write(np.stack([picture] * 3))
    return file.read_bytes()


def label_config(scenes: Path, out: Path, **more: Any) -> LabelConfig:
    """Return the configuration of the run's labels."""
    return LabelConfig.model_validate(
        {"scenes": [str(scenes)], "out": str(out), "chips": {"size": CHIP}, "outputs": ["labels", "chips"]}
        | {"spark": {"master": "local[2,4]"}} | more
    )  # fmt: skip


def copy_catalogue(run: Run, scenes: Path) -> None:
    """Write the catalogue of scenes that `make_scenes` made, of which only the first is opened."""
    uris = sorted(map(str, scenes.glob("*.tif")))
    with open_scene(uris[0]) as scene:
        first = scene.info
    seen = look_at(uris)
    assert first.transform is not None
    rows = []
    for index, uri in enumerate(uris):
        state, (left, top) = Path(uri).stat(), _corner(index)
        transform = [*first.transform[:2], left, *first.transform[3:5], top]
        info = first._replace(
            uri=uri, group=Path(uri).stem, transform=transform, modified_ns=state.st_mtime_ns
        )
        rows.append(CatalogRow(Path(uri).stem, info, seen[uri]))
    write_catalog(rows, run)


def finish(run: Run, scenes: Path, first: Path) -> None:
    """Give every scene of the catalogue labels, a map and chips; `first` is a folder for one scene's run.

    The maps are the labels.
    """
    example = scenes / "scene-000000.tif"
    config = label_config(example, first)
    label(config)
    given, rows = Run(first).labels(example.stem), read_catalog(run)
    parts = [rows[start : start + 1000] for start in range(0, len(rows), 1000)]
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(partial(_link_all, run, given), enumerate(parts)))
        list(pool.map(partial(_mark_all, run, given), parts))
    template = next((first / "chips").glob("split=*/*.parquet"))
    with patch.object(chips, "_by_spark", partial(_cut_all, template)):
        marks = Marks(run.root / "labels", chips.CUT_FROM)
        how = (load_profile("polynya"), config.chips, config.limits)
        chips.make_chips(lambda: None, rows, run, *how, marks)  # type: ignore[arg-type, return-value]


def _cut_all(template: Path, _spark: None, work: list[Any], step: Any, _schema: Any) -> list[dict[str, Any]]:
    """Return what cutting the scenes would, after chips of their names were written."""
    target = step.keywords["job"].target
    for split in SPLITS:
        (target / f"split={split}").mkdir(parents=True)
    todo = [(each.row.scene_id, each.group, each.split, _moved(each.row)) for each in work]
    with ProcessPoolExecutor(2) as pool:
        return list(pool.map(partial(_cut, template, target), todo, chunksize=250))


def _moved(row: CatalogRow) -> tuple[float, float]:
    assert row.info.transform is not None
    return row.info.transform[2] - _ORIGIN[0], row.info.transform[5] - _ORIGIN[1]


def _cut(template: Path, target: Path, scene: tuple[str, str, str, tuple[float, float]]) -> dict[str, Any]:
    scene_id, group, split, (right, up) = scene
    tally, file = ChipTally(), target / f"split={split}" / f"{scene_id}.parquet"
    with pq.ParquetWriter(file, CHIP_SCHEMA, compression="zstd") as writer:
        for chip in _chips_of(template):
            a, b, c, d, e, f = chip["transform"]
            own = {"scene_id": scene_id, "group": group, "transform": [a, b, c + right, d, e, f + up]}
            writer.write_table(pa.Table.from_pylist([chip | own], schema=CHIP_SCHEMA))
            tally.add(chip["image"], chip["label"])
    counted = tally.of(split, scene_id)._asdict()  # type: ignore[arg-type]
    return counted | mark_of(file) | {"empty": None, "error": None}


@cache
def _chips_of(template: Path) -> list[dict[str, Any]]:
    return list(pq.read_table(template).to_pylist())


def _link_all(run: Run, given: Path, part: tuple[int, list[CatalogRow]]) -> None:
    number, rows = part
    own = run.root / ".parts" / str(number)  # links of their own for each part, within what a file can have
    own.mkdir(parents=True, exist_ok=True)
    for name in _outputs(given):
        (own / name).write_bytes((given / name).read_bytes())
    for row in rows:
        for folder, names in _folders(run, row, given):
            folder.mkdir(parents=True, exist_ok=True)
            for name, target in names.items():
                if not (folder / target).exists():
                    os.link(own / name, folder / target)


def _folders(run: Run, row: CatalogRow, given: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """Yield the folders of a scene, and of which file of the example each of their files is a link."""
    labels, maps = run.labels(row.scene_id), run.maps(row.scene_id)
    assert isinstance(labels, Path)
    assert isinstance(maps, Path)
    yield labels, {name: name for name in _outputs(given)}
    yield maps, {LABELS: CLASSES}


def _outputs(given: Path) -> list[str]:
    return list(json.loads((given / DONE).read_text())["outputs"])


def _mark_all(run: Run, given: Path, rows: list[CatalogRow]) -> None:
    done = json.loads((given / DONE).read_text())
    for row in rows:
        labels = done | {"scene_id": row.scene_id, "inputs": done["inputs"] | row.info.identity()}
        inputs = row.info.identity() | {"palette": "polynya"}
        outputs = {CLASSES: done["outputs"][LABELS]}
        maps = {**labels, "inputs": inputs, "outputs": outputs, "files": [CLASSES], "source": "labels"}
        for folder, mark in ((run.labels(row.scene_id), labels), (run.maps(row.scene_id), maps)):
            (folder / DONE).write_text(json.dumps(mark, indent=2, sort_keys=True))
