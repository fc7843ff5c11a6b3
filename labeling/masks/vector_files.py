"""Which files a vector file is made of, so that a change of any of them is seen."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_FAMILIES: Final = frozenset({".shp", ".gml", ".gpkg"})
"""Endings of files beside which others may lie that belong to them: attributes, CRS, journals."""

_COMPANIONS: Final = frozenset(
    {".shx", ".dbf", ".prj", ".cpg", ".sbn", ".sbx", ".qpj", ".qix", ".gfs", ".xsd", ".gpkg-wal"}
)
"""Their endings."""


def files_of(path: Path) -> list[Path]:
    """Return all files that make up a vector file, sorted: a shapefile's attributes, its system, …"""
    if path.suffix.lower() in _FAMILIES and path.exists():
        beside = {path.with_suffix(suffix) for suffix in _COMPANIONS}
        beside |= {path.with_suffix(suffix.upper()) for suffix in _COMPANIONS}
        if path.suffix.lower() == ".shp":  # as before: all that is called so
            beside |= {file for file in path.parent.iterdir() if file.stem == path.stem}
        return sorted({path, *(file for file in beside if file.is_file())})
    return [path]
