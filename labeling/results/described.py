"""What an Item says of its files besides their names: size, digest, bands, and how to draw them."""

from __future__ import annotations

from typing import Any, Final

import pystac
from pystac.extensions.file import FileExtension
from pystac.extensions.render import Render, RenderExtension

from labeling.files.marks import FileMark, mark_of
from labeling.files.raster import open_raster
from labeling.files.storage import AnyPath

RASTER: Final = "https://stac-extensions.github.io/raster/v2.0.0/schema.json"
"""The extension for scales and offsets of bands; PySTAC writes that of STAC 1.0."""

_SHA256: Final = "1220"
"""What a multihash says before the digest: the algorithm, and 32 bytes."""


def describe_files(item: pystac.Item, folder: AnyPath) -> None:
    """Say of an Item's assets, files of `folder`, how large they are, which digest and bands they have.

    Rasters of classes and those whose bands have a scale get a rendering each, of the asset's key.
    """
    renders = {}
    for key, asset in item.assets.items():
        path = folder / asset.href.removeprefix("./")
        add_mark(asset, mark_of(path))
        if path.suffix == ".tif":
            bands = _bands(path)
            asset.extra_fields["bands"] = bands
            if any("raster:scale" in band for band in bands) and RASTER not in item.stac_extensions:
                item.stac_extensions.append(RASTER)
            if (render := _render(key, asset, bands)) is not None:
                renders[key] = render
    if renders:
        RenderExtension.ext(item, add_if_missing=True).apply(renders)


def add_mark(asset: pystac.Asset, mark: FileMark) -> None:
    """Say how large an asset is, and its digest where it is known: a bucket has its own word for content."""
    digest = mark.get("sha256")
    FileExtension.ext(asset, add_if_missing=True).apply(
        size=mark.get("bytes"), checksum=None if digest is None else _SHA256 + digest
    )


def _bands(path: AnyPath) -> list[dict[str, Any]]:
    """Return what the bands of a raster are, in STAC's words."""
    with open_raster(path) as raster:
        bands = [
            {"name": description or f"band {index}", "data_type": dtype}
            | ({} if nodata is None else {"nodata": nodata})
            | ({"unit": unit} if unit else {})
            | ({} if (scale, offset) == (1, 0) else {"raster:scale": scale, "raster:offset": offset})
            for index, description, dtype, nodata, unit, scale, offset in zip(
                raster.indexes, raster.descriptions, raster.dtypes, raster.nodatavals, raster.units,
                raster.scales, raster.offsets, strict=True,
            )
        ]  # fmt: skip
    return bands


def _render(key: str, asset: pystac.Asset, bands: list[dict[str, Any]]) -> Render | None:
    """Return how a raster of classes, or of scaled numbers, is drawn; None for any other."""
    classes = asset.extra_fields.get("classification:classes")
    nodata = bands[0].get("nodata")
    if classes is not None:
        colours = {
            str(each["value"]): [*bytes.fromhex(each["color_hint"]), 0 if each.get("nodata") else 255]
            for each in classes
        }
        return Render.create([key], title=asset.title, colormap=colours, nodata=nodata, resampling="nearest")
    if len(bands) == 3 and "raster:scale" in bands[0]:
        rescale = [[0.0, round(1 / band["raster:scale"])] for band in bands]
        return Render.create([key], title=asset.title, rescale=rescale, nodata=nodata)
    return None
