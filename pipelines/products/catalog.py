"""The run as a STAC catalogue: a Collection of labels, one of maps, and one of products, with relative links.

labels/<scene_id>/item.json, maps/<scene_id>/item.json, products/<product> -> products/catalog/catalog.json

Links and files are named from where they stand, so a run folder can be moved, copied or served as it is.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Final, NamedTuple, get_args

import pystac
from pystac.layout import BestPracticesLayoutStrategy

from labeling.errors import ConfigError, SceneError
from labeling.files.atomic import write_json
from labeling.files.layout import Run, finished_file, read_done
from labeling.files.marks import FileMark
from labeling.results.described import add_mark
from labeling.results.item import ITEM
from pipelines.engine.scenes import Failure
from pipelines.products.config import ProductName
from pipelines.products.maps import MapFile
from pipelines.products.product import Work

VERSION: Final = 1
"""Of what this module makes: an older catalogue is made anew."""

CATALOG: Final = "catalog.json"
"""Name of the file to open."""

ROOMS: Final = {
    "labels": "Ice classes by thresholds: what the automatic labels of each scene are.",
    "maps": "Ice classes of each scene as a trained network and its labels give them.",
}
"""Folders of a run that hold Items, and what they are."""

MEDIA_TYPES: Final = {
    ".tif": pystac.MediaType.COG, ".gpkg": pystac.MediaType.GEOPACKAGE, ".parquet": pystac.MediaType.PARQUET,
    ".nc": pystac.MediaType.NETCDF, ".csv": "text/csv", ".json": pystac.MediaType.JSON,
    ".png": pystac.MediaType.PNG, ".xml": pystac.MediaType.XML, ".qml": pystac.MediaType.XML,
}  # fmt: skip

_RUN: Final = PurePosixPath("/run")
"""Where the run is said to lie while links are worked out; they are relative, so it may lie anywhere."""

_LICENSE: Final = "other"
"""Sentinel data have terms of their own, and what is made of them is the maker's."""


class _Found(NamedTuple):
    """Items of a run, by the name of their room."""

    items: dict[str, dict[str, FileMark]]
    """Mark of each Item by the scene's id."""
    without: list[str]
    """Ids of scenes that have no Item."""


def make(work: Work) -> list[Failure]:
    """Write the catalogue; see product.Product."""
    found = _find(work.run, work.maps)
    failures = [Failure(scene, work.name, _no_item(scene)) for scene in found.without]
    if not any(found.items.values()):
        raise ConfigError(failures[0].reason)
    products = _finished_products(work)
    inputs = {"version": VERSION, "items": found.items, "products": products}
    if not work.is_done(inputs, [CATALOG]):
        catalog = _build(work.run, found, products)
        with work.finishing(inputs, [CATALOG]) as folder:
            base = _RUN / "products" / work.name
            for each in _objects(catalog):
                place = PurePosixPath(each.get_self_href() or "").relative_to(base)
                write_json(folder / str(place), each.to_dict(include_self_link=False))
    return failures


def _find(run: Run, maps: list[MapFile]) -> _Found:
    """Find the Items of scenes; one that has labels with an Item, or a map with one, is not without."""
    items: dict[str, dict[str, FileMark]] = {room: {} for room in ROOMS}
    for room, folder in (("labels", run.labels), ("maps", run.maps)):
        for each in maps:
            mark = ((read_done(folder(each.scene_id)) or {}).get("outputs") or {}).get(ITEM)
            if mark is not None:
                items[room][each.scene_id] = mark
    within = set().union(*items.values())
    return _Found(items, [each.scene_id for each in maps if each.scene_id not in within])


def _no_item(scene: str) -> str:
    return (
        f"{scene} has no {ITEM}, which a catalogue is made of: it does not say where on Earth it lies, or "
        "when it was taken. Give it both, as a product or STAC item does, or leave it out."
    )


def _finished_products(work: Work) -> dict[str, dict[str, FileMark]]:
    """Return the marks of what other products have written, by product and file."""
    found = {}
    for name in get_args(ProductName):
        outputs = (read_done(work.run.product(name)) or {}).get("outputs") or {}
        if name != work.name and outputs:
            found[name] = {file: outputs[file] for file in sorted(outputs)}
    return found


def _build(run: Run, found: _Found, products: dict[str, dict[str, FileMark]]) -> pystac.Catalog:
    catalog = pystac.Catalog("polynya", "Sea ice from optical scenes: labels, maps and products of a run.")
    catalog.catalog_type = pystac.CatalogType.SELF_CONTAINED
    everything = []
    for room, about in ROOMS.items():
        if found.items[room]:
            items = [_read_item(run, room, scene) for scene in sorted(found.items[room])]
            everything += items
            collection = pystac.Collection(room, about, _extent(items), title=room, license=_LICENSE)
            collection.add_items(items)
            catalog.add_child(collection)
    if products:
        about = "What the maps of the run say together."
        collection = pystac.Collection(
            "products", about, _extent(everything), title="products", license=_LICENSE
        )
        for name, files in products.items():
            for file, mark in files.items():
                collection.add_asset(f"{name}/{file}", _asset(name, file))
                add_mark(collection.assets[f"{name}/{file}"], mark)
        catalog.add_child(collection)
    catalog.normalize_hrefs(str(_RUN / "products" / "catalog"), BestPracticesLayoutStrategy())
    for each in _objects(catalog):
        if isinstance(each, pystac.Item | pystac.Collection):
            each.make_asset_hrefs_relative()
    return catalog


def _asset(product: str, file: str) -> pystac.Asset:
    suffix = PurePosixPath(file).suffix
    return pystac.Asset(
        str(_RUN / "products" / product / file), f"{product}: {file}",
        media_type=MEDIA_TYPES.get(suffix), roles=["metadata" if suffix in (".xml", ".qml") else "data"],
    )  # fmt: skip


def _read_item(run: Run, room: str, scene: str) -> pystac.Item:
    """Return a scene's Item with its files named from the run on; SceneError where it was changed."""
    folder = run.labels(scene) if room == "labels" else run.maps(scene)
    try:
        content = json.loads(finished_file(folder, ITEM).read_text(encoding="utf-8"))
        item = pystac.Item.from_dict(content, migrate=False)
    except (OSError, ValueError, KeyError, pystac.STACError) as error:
        raise SceneError(
            f"{folder / ITEM} cannot be read ({type(error).__name__}). Run the job that made it again."
        ) from None
    item.set_self_href(str(_RUN / room / scene / ITEM))
    item.make_asset_hrefs_absolute()
    return item


def _objects(catalog: pystac.Catalog) -> list[pystac.STACObject]:
    """Return a catalogue, its collections and their items."""
    found: list[pystac.STACObject] = []
    for root, _, items in catalog.walk():
        found += [root, *items]
    return found


def _extent(items: list[pystac.Item]) -> pystac.Extent:
    """Return where and when items lie."""
    times = sorted(item.datetime.astimezone(UTC) for item in items if item.datetime is not None)
    interval: list[datetime | None] = [times[0], times[-1]]
    boxes = [item.bbox for item in items if item.bbox is not None]
    return pystac.Extent(pystac.SpatialExtent([_around(boxes)]), pystac.TemporalExtent([interval]))


def _around(boxes: list[list[float]]) -> list[float]:
    """Return the smallest box around boxes (west, south, east, north); west is greater if it crosses 180."""
    south, north = min(box[1] for box in boxes), max(box[3] for box in boxes)
    sides = [(box[0], box[2] if box[2] >= box[0] else box[2] + 360) for box in boxes]
    if any(east - west >= 360 for west, east in sides):
        return [-180.0, south, 180.0, north]
    # Each western side may be the one of all: the others then lie east of it, a turn further on if need be.
    reach = {start: max(east + 360 * (west < start) - start for west, east in sides) for start, _ in sides}
    start = min(reach, key=lambda west: (reach[west], west))
    if reach[start] >= 360:
        return [-180.0, south, 180.0, north]
    east = start + reach[start]
    return [start, south, east if east <= 180 else east - 360, north]
