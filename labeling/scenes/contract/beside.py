"""Files beside a raster's own that decide what is read of it."""

from __future__ import annotations

from typing import Final

from rasterio.io import DatasetReader

_OVERVIEWS: Final = (".ovr", ".rrd")
"""Endings of files that hold a picture's overviews, which decide nothing."""


def read_beside(dataset: DatasetReader) -> list[str]:
    """Return the files beside a raster's own that decide what is read of it: masks, places, names."""
    return [file for file in dataset.files[1:] if not file.lower().endswith(_OVERVIEWS)]
