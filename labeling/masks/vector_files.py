"""Which files a vector file is made of, so that a change of any of them is seen."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element

from labeling.errors import ConfigError, SceneError
from labeling.scenes.products.safe.xml import parse

_FAMILIES: Final = frozenset({".shp", ".tab", ".mif", ".gml", ".csv", ".gpkg", ".dxf", ".dgn", ".geojson"})
"""Endings of files beside which others may lie that belong to them: attributes, CRS, journals."""

_COMPANIONS: Final = frozenset(
    {".shx", ".dbf", ".prj", ".cpg", ".sbn", ".sbx", ".qpj", ".qix", ".dat", ".map", ".id", ".ind", ".mid"}
    | {".gfs", ".xsd", ".csvt", ".gpkg-wal"}
)
"""Their endings."""

_SOURCES: Final = frozenset({"SrcDataSource", "IndexDataSource"})
"""Elements of OGR's virtual format (VRT) that name another file."""

_DEEPEST: Final = 8
"""Virtual files that lead to virtual files."""


def files_of(path: Path, deep: int = 0) -> list[Path]:
    """Return all files that make up a vector file, sorted: a folder's, a shapefile's, what a VRT leads to.

    Raises ConfigError for a VRT that is damaged or leads to what is no file, whose changes nobody would see.
    """
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    if path.suffix.lower() == ".vrt" and path.is_file():
        found = {path, *(file for source in _sources(path, deep) for file in files_of(source, deep + 1))}
        return sorted(found)
    if path.suffix.lower() in _FAMILIES and path.exists():
        beside = {path.with_suffix(suffix) for suffix in _COMPANIONS}
        beside |= {path.with_suffix(suffix.upper()) for suffix in _COMPANIONS}
        if path.suffix.lower() == ".shp":  # as before: all that is called so
            beside |= {file for file in path.parent.iterdir() if file.stem == path.stem}
        return sorted({path, *(file for file in beside if file.is_file())})
    return [path]


def _sources(path: Path, deep: int) -> list[Path]:
    try:
        root = parse(path.read_bytes(), f"the land file {path}")
    except OSError as error:
        raise ConfigError(f"cannot read the land file {path}: {error.strerror}. Check land.vector.") from None
    except SceneError as error:
        raise ConfigError(str(error)) from None
    sources = [_source(path, element) for element in root.iter() if element.tag in _SOURCES]
    wrong = next((source for source in sources if not source.exists()), None)
    if wrong is not None or deep >= _DEEPEST:
        raise ConfigError(
            f"the land file {path} is a virtual one (VRT) that leads to {wrong or 'others without end'}, "
            "which is no file here, so nobody would see it change. Give the file itself as land.vector."
        )
    return sources


def _source(path: Path, element: Element) -> Path:
    name = (element.text or "").strip()
    relative = element.get("relativeToVRT", "0") == "1"
    return path.parent / name if relative else Path(name)
