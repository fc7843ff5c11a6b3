"""STAC items as products: one band an asset, on this machine, on a server or in an object store.

find_item (item.py) -> find_bands (assets.py) -> read_facts (facts.py) -> BandRasters.

A scene's URI is that of its item, `…/S2A_58CDU_20191103_0_L2A.json`, or of a list with the item's id,
`items.json#S2A_58CDU_20191103_0_L2A`. Links in an item may be relative, absolute, file://,
http(s):// or s3://, and are followed where files/links.py lets them lead. Signed ones are used, and
never shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Final

from labeling.bands import RED, Band
from labeling.files.state import FileState
from labeling.files.storage import AnyPath, is_s3
from labeling.files.uri import LISTS, is_url, shown, suffix
from labeling.scenes.products.stac.assets import explain_absence, find_bands, find_layers, xml_places
from labeling.scenes.products.stac.facts import baseline_of, check_mission, read_facts
from labeling.scenes.products.stac.item import LARGEST, Found, find_item
from labeling.scenes.products.stacks.facts import grid_of
from labeling.scenes.products.stacks.files import RasterFiles, raster_files
from labeling.scenes.products.stacks.rasters import BandRasters

_FEATURE: Final = re.compile(rb'"type"\s*:\s*"Feature(Collection)?"')


def is_stac(uri: str) -> bool:
    """Tell from its name whether something is a STAC item or list: .json, or on the web all but a GeoTIFF."""
    on_web = is_url(uri) and not is_s3(uri)
    return suffix(uri) in LISTS or (on_web and suffix(uri) not in (".tif", ".tiff"))


def has_items(path: AnyPath) -> bool:
    """Tell whether a file is a STAC item or list of items; it may be any other JSON in a folder."""
    if path.suffix.lower() not in LISTS:
        return False
    try:
        if not path.is_file() or path.stat().st_size > LARGEST:
            return False
        content = path.read_bytes()
    except OSError:
        return True  # opening it says why it cannot be read
    return b'"stac_version"' in content and _FEATURE.search(content) is not None


@contextmanager
def open_stac(uri: str) -> Iterator[tuple[BandRasters, FileState]]:
    """Open the item at `uri`, and return it with its state; SceneError says why it cannot.

    One image is opened, for the grid; the others are when they are read.
    """
    found = find_item(uri)
    check_mission(found)
    with raster_files() as files:
        item, read = _read_item(found, files)
        folder = found.location.rpartition("/")[0]
        yield item, found.state if is_url(found.location) else found.state.joined(read, folder)


def _read_item(found: Found, files: RasterFiles) -> tuple[BandRasters, list[str]]:
    """Return the item as a product, and which files are read for it."""
    bands, layers = find_bands(found, baseline_of(found.item)), find_layers(found)
    reference = bands[_finest(bands)].locations
    name = f"item {found.item.id} of {shown(found.location)}"
    item = BandRasters(
        name,
        read_facts(found.item, grid_of(files.open(reference), shown(reference[0]))),
        files,
        bands,
        layers,
        partial(explain_absence, found),
    )
    read = [raster.locations[0] for raster in bands.values()]
    read += [raster.locations[0] for raster in layers.values()]
    return item, read + xml_places(found)


def _finest(bands: Mapping[Band, object]) -> Band:
    """Return the band to take the grid from: red, which every scene reads, or else one of small pixels."""
    return RED if RED in bands else min(bands, key=lambda band: band.resolution)
