"""Tiles as they lie in the buckets sentinel-s2-l1c and -l2a: a granule without its product."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from labeling.files.storage import AnyPath

_MARKS: Final = frozenset({"tileInfo.json", "metadata.xml"})


def is_of_aws(names: Iterable[str]) -> bool:
    """Tell from the names of a folder's files whether it is such a tile."""
    found = set(names)
    return bool(found & _MARKS) and any(f"B02.{kind}" in found or kind in found for kind in ("jp2", "R10m"))


def of_aws(path: AnyPath) -> str:
    """Return why such a tile is refused, and what to do with it."""
    return (
        f"{path} is a tile as it lies in the buckets sentinel-s2-l1c and -l2a: its bands are there, and the "
        "XML of the product, which states what their DN mean, is not. Fetch the product in SAFE format "
        "(Copernicus Data Space), or make a stack: `rio stack B04.jp2 B03.jp2 B02.jp2 -f GTiff -o "
        "stack.tif`, and name its bands and state their scale, type and sun, as docs/products.md says."
    )
