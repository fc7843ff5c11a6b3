"""Where a picture lies, which files say so, and how sharply its format keeps what is black."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from affine import Affine
from rasterio.crs import CRS
from rasterio.io import DatasetReader

from labeling.doubt import Doubt
from labeling.files.advice import edit_info
from labeling.files.uri import quoted

LOSSY_RIM: Final = 16
"""Pixels that a lossy format compresses together (JPEG: 8, of colours 16): so far noise goes."""

LOSSY_BLACK: Final = 3
"""Brightness that black may have become in such a format; all of it is read as black."""

_TRANSFORM: Final = "--transform '[10, 0, 500000, 0, -10, 1700000]'"

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
    points, points_crs = dataset.gcps
    if transform is None and (points or dataset.rpcs):
        kind = "ground control points" if points else "rational polynomials (RPC)"
        to = points_crs.to_string() if points_crs else "EPSG:32758"
        lost = _lost(
            f"{name} says where it lies by {kind} alone, which are not read",
            f"Bring it to a grid, and give that: `rio warp {file} placed.tif --dst-crs {to}`.",
        )
        return Place(None, None, [lost])
    if crs is not None and transform is None:
        lost = _lost(
            f"{name} names a coordinate system, and not where in it its pixels lie",
            f"State it, as in {_transform(name)}.",
        )
        return Place(None, None, [lost])
    if transform is not None and not (np.isfinite(list(transform)).all() and transform.determinant):
        lost = _lost(
            f"{name} has a transform that leads nowhere", f"State the true one, as in {_transform(name)}."
        )
        return Place(None, None, [lost])
    if transform is None:
        return Place(None, None, [])
    advice = f"State the true one, as in `{edit_info(name, '--crs EPSG:32758')}`, and run again."
    if crs is None:
        return Place(None, transform, [_lost(f"{name} does not name its coordinate system", advice)])
    if not (crs.is_projected or crs.is_geographic):
        return Place(crs, transform, [_lost(f"{name} has a local coordinate system", advice)])
    return Place(crs, transform, [])


def _transform(name: str) -> str:
    return f"`{edit_info(name, _TRANSFORM)}`, and run again"


def _lost(problem: str, advice: str) -> Doubt:
    return Doubt("place-lost", f"{problem}: its labels have no place on Earth, and no areas. {advice}")


def rim_of(dataset: DatasetReader) -> int:
    """Return how many pixels the edge of what is black may be smeared by the raster's compression."""
    structure = dataset.tags(ns="IMAGE_STRUCTURE")
    stated = structure.get("COMPRESSION_REVERSIBILITY", "").upper()
    if stated:
        return 0 if stated.startswith("LOSSLESS") else LOSSY_RIM
    compression = structure.get("COMPRESSION", "").upper()
    return LOSSY_RIM if dataset.driver == "JPEG" or any(name in compression for name in _LOSSY) else 0
