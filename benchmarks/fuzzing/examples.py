"""A valid example of each kind of foreign file, and the function that jobs open it with."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np

from benchmarks.fuzzing import pixels
from benchmarks.fuzzing.mutation import ANSWER, BINARY, BYTES, JSON, XML, ZIP, Damage
from labeling.bands import BLUE, GREEN, RED
from labeling.chips import card as chips
from labeling.files import fetch
from labeling.grid import Block
from labeling.ice.profile import load_profile
from labeling.masks.layers import open_layer
from labeling.scenes.open import list_scenes, open_scene
from labeling.simulation.safe.spec import ProductSpec
from labeling.simulation.safe.writer import write_product
from training.folder.card import CARD_FILE, MODEL_FILE, ModelCard, read_model_card, write_model_card

SIDE = 60
"""Rows and columns of the scenes, 10 m pixels."""


class Example(NamedTuple):
    """A kind of input."""

    kind: str
    file: Path
    """What is damaged."""
    damages: tuple[Damage, ...]
    open: Callable[[], object]


def write_examples(folder: Path, server: str) -> list[Example]:
    """Write one of each kind below an empty folder, which the server of that URL serves."""
    spec, safe = _write_safe(folder)
    item, profile, land = folder / "item.json", folder / "profile.yaml", folder / "land.geojson"
    item.write_text(json.dumps(_item(folder, safe, spec)))
    shipped = files("labeling.ice") / "profiles" / "polynya-l1c.yaml"
    profile.write_bytes(shipped.read_bytes())
    as_json = folder / "profile-json.yaml"  # YAML holds JSON: values are replaced and nested in it as there
    as_json.write_text(load_profile("polynya-l1c").model_dump_json())
    land.write_text(json.dumps(_LAND))
    chip_folder, model = folder / "chips", folder / "model"
    for each in (chip_folder, model):
        each.mkdir()
    (chip_folder / chips.CARD_FILE).write_text(json.dumps(_CHIPS))
    (model / MODEL_FILE).write_bytes(b"any network")
    write_model_card(model, ModelCard.model_validate(_MODEL))
    return [
        Example("product XML", safe / spec.product_xml, XML, partial(_read_scene, safe)),
        Example("granule XML", safe / spec.granule_xml, XML, partial(_read_scene, safe)),
        Example("STAC item", item, JSON, partial(_read_scene, item)),
        Example("chip card", chip_folder / chips.CARD_FILE, JSON, partial(chips.read_card, chip_folder)),
        Example("model card", model / CARD_FILE, JSON, partial(read_model_card, model)),
        Example("profile", profile, BYTES, partial(load_profile, str(profile))),
        Example("profile, nested", as_json, JSON, partial(load_profile, str(as_json))),
        Example("land GeoJSON", land, JSON, partial(open_layer, land)),
        *_with_pixels(folder, safe, spec),
        Example("remote item", _write_answer(folder), ANSWER, partial(_read_remote, f"{server}/remote.json")),
    ]


def _with_pixels(folder: Path, safe: Path, spec: ProductSpec) -> list[Example]:
    chips = folder / "pixels"
    rasters = [
        ("picture", pixels.write_picture(folder / "picture.tif", SIDE)),
        ("PNG", pixels.write_picture(folder / "picture.png", SIDE)),
        ("stack", pixels.write_stack(folder / "stack.tif", SIDE)),
    ]
    packed = pixels.write_zip(safe)
    return [
        *(Example(kind, file, BINARY, partial(_read_scene, file)) for kind, file in rasters),
        Example("band of a product", safe / spec.image(RED, 10), BINARY, partial(_read_scene, safe)),
        Example("product zip", packed, ZIP, partial(_read_scene, packed)),
        Example("chip file", pixels.write_chips(chips), BINARY, partial(pixels.read_chips, chips)),
    ]


def _write_answer(folder: Path) -> Path:
    """Write what a server answers when it is asked for the item: its links lead to the same server."""
    body = (folder / "item.json").read_bytes()
    file = folder / "remote.json.http"
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/geo+json\r\nContent-Length: {len(body)}\r\n"
    file.write_bytes(head.encode() + b'ETag: "1"\r\nConnection: close\r\n\r\n' + body)
    return file


def _read_scene(path: Path | str) -> None:
    """Open each scene that a path or URL stands for, and read its pixels as labelling does."""
    for uri in list_scenes(str(path)):
        with open_scene(uri) as scene:
            scene.read(Block(0, 0, min(SIDE, scene.info.height), min(SIDE, scene.info.width)))


def _read_remote(url: str) -> None:
    """Read a scene of the server, without the seconds between attempts, which most damage costs."""
    with patch.object(fetch, "PAUSES", (0.0, 0.0)):
        _read_scene(url)


def _write_safe(folder: Path) -> tuple[ProductSpec, Path]:
    start = datetime(2019, 11, 3, 20, 39, 1, tzinfo=UTC)
    spec = ProductSpec(
        tile="58CDU", crs="EPSG:32758", left=399_960, top=1_700_040, datatake_start=start, sensing_time=start,
        generated=start, absolute_orbit=22_802, relative_orbit=57, sun_zenith=61.25,
    )  # fmt: skip
    dn = np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE) + 1001
    return spec, write_product(folder, spec, [(band, dn) for band in (BLUE, GREEN, RED)])


def _item(folder: Path, safe: Path, spec: ProductSpec) -> dict[str, Any]:
    scaling = {"nodata": 0, "data_type": "uint16", "scale": 0.0001, "offset": spec.offset / 10_000}
    assets: dict[str, Any] = {
        str(band): {
            "href": (safe / spec.image(band, 10)).relative_to(folder).as_posix(),
            "type": "image/jp2",
            "raster:bands": [scaling],
        }
        for band in (BLUE, GREEN, RED)
    }
    for key, name in (("product-metadata", spec.product_xml), ("granule-metadata", spec.granule_xml)):
        assets[key] = {"href": f"{safe.name}/{name}", "type": "application/xml", "roles": ["metadata"]}
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": "S2A_58CDU_20191103_0_L1C",
        "collection": "sentinel-2-l1c", "geometry": None, "links": [], "assets": assets,
        "properties": {
            "datetime": "2019-11-03T20:39:01.024000Z", "platform": "sentinel-2a",
            "constellation": "sentinel-2", "proj:epsg": 32758,
            "grid:code": "MGRS-58CDU", "sat:relative_orbit": 57,
            "view:sun_elevation": 28.75, "view:sun_azimuth": 55.0, "view:incidence_angle": 5.0,
            "view:azimuth": 105.0, "s2:product_type": "S2MSI1C", "s2:processing_baseline": spec.baseline,
            "s2:product_uri": f"{spec.name}.SAFE", "s2:datatake_id": spec.datatake,
        },
    }  # fmt: skip


_RING = [[165.0, -77.0], [166.0, -77.0], [166.0, -76.0], [165.0, -77.0]]
_LAND = {
    "type": "FeatureCollection",
    "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}},
    "features": [
        {"type": "Feature", "properties": {"id": 1, "name": "ice shelf"}, "geometry": geometry}
        for geometry in (
            {"type": "Polygon", "coordinates": [_RING]},
            {"type": "MultiPolygon", "coordinates": [[_RING]]},
        )
    ],
}

_CHIPS = {
    "format": "polynya-chips-1", "profile": "polynya", "profile_version": 1, "rendering": "rgb8", "size": 32,
    "channels": 3, "split_by": "scene", "gap": 0, "counts": {"train": 2, "val": 1, "test": 0},
    "class_pixels": {"train": [10, 20, 30], "val": [1, 2, 3], "test": [0, 0, 0]},
    "scenes": {"train": ["scene-a"], "val": ["scene-b"], "test": []}, "cut_points": [30, 204], "note": "",
    "digest": "0" * 64,
    "files": [
        {"split": "train", "scene_id": "scene-a", "chips": 2, "pixels": [10, 20, 30], "digest": "0" * 64,
         "bytes": 1000, "sha256": "0" * 64, "height": 64, "width": 64},
    ],
}  # fmt: skip

_MODEL = {
    "rendering": "rgb8", "channels": "rgb", "scaling": "255", "profile": "polynya", "profile_version": 1,
    "chips_digest": "0" * 64, "chip_size": 32, "depth": 3, "width": 4, "dropout": (0.1, 0.1, 0.2),
    "optimizer": "adam", "learning_rate": 0.001, "batch_size": 4, "world_size": 1, "seed": 0,
    "augment": False, "epochs_run": 1, "best_epoch": 1, "metrics": {"mean_iou": 0.5},
}  # fmt: skip
