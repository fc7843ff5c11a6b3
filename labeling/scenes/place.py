"""Where a picture lies, which files say so, and how sharply its format keeps what is black."""

from __future__ import annotations

from typing import Final, NamedTuple

from affine import Affine
from rasterio.crs import CRS
from rasterio.io import DatasetReader

from labeling.doubt import Doubt
from labeling.files.uri import quoted

LOSSY_RIM: Final = 16
"""Pixels that a lossy format compresses together (JPEG: 8, of colours 16): so far noise goes."""

_LOSSY: Final = ("JPEG", "WEBP", "LERC", "JXL")


class Place(NamedTuple):
    """Where a picture lies, as far as it says."""

    crs: CRS | None
    transform: Affine | None
    doubts: list[Doubt]


def place_of(name: str, dataset: DatasetReader) -> Place:
    """Return where a picture lies; a place that is said in a way that is not read, or by half, is a doubt."""
    crs, file = dataset.crs, quoted(name)
    transform = None if dataset.transform == Affine.identity() else dataset.transform
    if crs is None and transform is not None:
        text = (
            f"{name} says on which grid its pixels lie, and not in which coordinate system: its labels lie "
            "nowhere on Earth, and have no areas. State it and run again: rio edit-info --crs EPSG:… " + file
        )
        return Place(None, transform, [Doubt("no-crs", f"{text}.")])
    points, points_crs = dataset.gcps
    if transform is None and (points or dataset.rpcs):
        kind = "ground control points" if points else "rational polynomials (RPC)"
        to = points_crs.to_string() if points_crs else "EPSG:…"
        text = (
            f"{name} says where it lies by {kind} alone, which are not read: its labels lie nowhere on "
            f"Earth. Bring it to a grid, and give that: rio warp {file} placed.tif --dst-crs {to}"
        )
        return Place(None, None, [Doubt("place-lost", f"{text}.")])
    if crs is not None and transform is None:
        text = (
            f"{name} names a coordinate system and not where in it its pixels lie, so its labels lie nowhere "
            "on Earth. State it and run again, as in rio edit-info --transform "
            f"'[10, 0, 500000, 0, -10, 1700000]' {file}"
        )
        return Place(None, None, [Doubt("place-lost", f"{text}.")])
    return Place(crs, transform, [])


def rim_of(dataset: DatasetReader) -> int:
    """Return how many pixels the edge of what is black may be smeared by the raster's compression."""
    structure = dataset.tags(ns="IMAGE_STRUCTURE")
    stated = structure.get("COMPRESSION_REVERSIBILITY", "").upper()
    if stated:
        return 0 if stated.startswith("LOSSLESS") else LOSSY_RIM
    compression = structure.get("COMPRESSION", "").upper()
    return LOSSY_RIM if dataset.driver == "JPEG" or any(name in compression for name in _LOSSY) else 0
