"""A scene's files as assets of its STAC Item: what each is for, and what its codes or numbers mean."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, Final, NamedTuple

import pystac
from pystac.extensions.classification import Classification, ClassificationExtension

from labeling.files.cogs.legend import Legend
from labeling.files.cogs.names import name_files
from labeling.files.raster import open_raster
from labeling.files.storage import AnyPath

MEDIA_TYPES: Final = {
    ".tif": pystac.MediaType.COG,
    ".png": pystac.MediaType.PNG,
    ".xml": pystac.MediaType.XML,
    ".qml": pystac.MediaType.XML,
}


_RASTER: Final = "https://stac-extensions.github.io/raster/v2.0.0/schema.json"
"""The extension of raster:scale; pystac writes an older one."""


class ItemAsset(NamedTuple):
    """A file in the Item's folder."""

    file: str
    """Its name: .tif on the scene's grid, .png, a picture without georeference, or what goes with one."""
    title: str
    roles: tuple[str, ...] = ("data",)
    """What it is for, in STAC's words: data, overview, cloud, …"""
    legend: Legend | None = None
    """What its codes mean, where it is a raster of codes."""
    counts: Mapping[str, int] | None = None
    """How many pixels have each code, by the legend's names."""
    fields: Mapping[str, Any] | None = None
    """What else the Item says of it, in STAC's words."""

    @property
    def key(self) -> str:
        """Its name in the Item: that of the file, without the ending of a raster or picture."""
        path = PurePath(self.file)
        return path.stem if path.suffix in (".tif", ".png") else path.name


def code_assets(raster: ItemAsset) -> list[ItemAsset]:
    """Return a raster of codes, and the files that name them beside it (labeling/files/cogs/names.py)."""
    titles = ("for GDAL", "for QGIS")
    files = zip(name_files(raster.file), titles, strict=True)
    return [
        raster,
        *(ItemAsset(file, f"{raster.title}: names and colours {to}", ("metadata",)) for file, to in files),
    ]


def add_asset(item: pystac.Item, folder: AnyPath, asset: ItemAsset) -> None:
    """Add a file, which must be there, to an Item that says on which grid its rasters lie."""
    suffix = PurePath(asset.file).suffix
    extra: dict[str, Any] = {}
    if suffix == ".png":
        with open_raster(folder / asset.file) as picture:
            extra = {"proj:shape": [picture.height, picture.width]}
    if suffix != ".tif":
        # Null says that it does not lie on the scene's grid, whatever the Item's properties say.
        extra |= dict.fromkeys(("proj:code", "proj:wkt2", "proj:projjson") & item.properties.keys())
    item.add_asset(
        asset.key,
        pystac.Asset(
            f"./{asset.file}", asset.title, media_type=MEDIA_TYPES[suffix], roles=[*asset.roles],
            extra_fields=extra,
        ),
    )  # fmt: skip
    if asset.fields is not None:
        item.assets[asset.key].extra_fields |= asset.fields
        if any(name.startswith("raster:") for name in asset.fields) and _RASTER not in item.stac_extensions:
            item.stac_extensions.append(_RASTER)
    if asset.legend is not None:
        _add_codes(item.assets[asset.key], asset.legend, asset.counts or {})


def _add_codes(asset: pystac.Asset, legend: Legend, counts: Mapping[str, int]) -> None:
    """Say what the codes of a raster mean, and how many pixels have each."""
    asset.extra_fields |= {"data_type": "uint8", "nodata": legend.nodata}
    ClassificationExtension.ext(asset, add_if_missing=True).classes = [
        Classification.create(
            value=entry.code,
            name=entry.name,
            description=entry.title,
            color_hint=entry.hex.upper(),
            nodata=True if entry.code == legend.nodata else None,
            count=counts.get(entry.name),
        )
        for entry in legend.entries
    ]
