"""Which vector files are opened: kinds whose content leads to nothing but themselves.

GDAL knows a file by its content, whatever it is called, and some kinds lead to servers or other files:
virtual ones (VRT), descriptions of services (WFS), command lines (GDALG), a link in the place of a GeoJSON's
coordinate system. So the content is looked at before GDAL sees it.
"""

from __future__ import annotations

import json
import re
import shlex
from io import BytesIO
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from labeling.errors import ConfigError

KINDS: Final = "GeoPackage, Shapefile (also as .shp.zip), FlatGeobuf, GeoJSON and GML"
"""What can be given, for messages."""

GDAL_OPTIONS: Final = {
    "GML_DOWNLOAD_SCHEMA": "NO",
    "CPL_VSIL_CURL_ALLOWED_FILENAME": "none",
    "OGR_SQLITE_LOAD_EXTENSIONS": "",
}
"""What GDAL must be told: nothing is fetched for a file, and a database loads no code."""

LARGEST_JSON: Final = 256 << 20
"""Bytes of a GeoJSON, which is read as a whole."""

_HEAD: Final = 64 << 10

_ELSEWHERE: Final = re.compile(
    rb"<\s*(OGR\w*DataSource|VRTDataset|GDAL_W\w+|WMS_|WCS_|Layers?Definition)|gdal_streamed_alg|loadGeoJSON",
    re.IGNORECASE,
)
"""By what GDAL knows kinds that lead elsewhere, wherever near the beginning it stands."""

_BINARY: Final = {
    ".gpkg": b"SQLite format 3\0",
    ".shp": b"\0\0\x27\x0a",
    ".fgb": b"fgb\x03",
    ".zip": b"PK\3\4",
}
"""How files of these endings begin."""

_CRS_NAME: Final = re.compile(r"(urn:ogc:def:crs:)?(EPSG|OGC|ESRI|IGNF):[\w.:-]*", re.IGNORECASE)


def check_kind(path: Path, what: str = "land file") -> None:
    """Raise ConfigError unless a file is of one of the KINDS and leads nowhere else; `what` is its role."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise ConfigError(f"cannot read the {what} {path}: {error.strerror}. Check the path.") from None
    ending = ".zip" if path.name.lower().endswith(".shp.zip") else path.suffix.lower()
    begins = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if _ELSEWHERE.search(head):
        raise ConfigError(_refusal(path, what, "leads to other files or to servers"))
    if ending in _BINARY and head.startswith(_BINARY[ending]):
        return
    if begins.startswith(b"{"):
        _check_json(path, what)
    elif not (begins.startswith(b"<") and ending == ".gml" and _is_gml(head)):
        raise ConfigError(_refusal(path, what, f"is none of the kinds that are read: {KINDS}"))


def _refusal(path: Path, what: str, problem: str) -> str:
    return (
        f"cannot read the {what} {path}: it {problem}. If you trust it, make one file of it, and give that: "
        f'`python -c "{_CONVERT}" {shlex.quote(str(path))}` writes land.gpkg.'
    )


_CONVERT: Final = (
    "import sys, pyogrio; meta, table = pyogrio.read_arrow(sys.argv[1]); "
    "pyogrio.write_arrow(table, 'land.gpkg', crs=meta['crs'], geometry_type=meta['geometry_type'], "
    "geometry_name=meta['geometry_name'] or 'wkb_geometry')"
)
"""Of the packages that this project needs: nothing else has to be installed."""


def _is_gml(head: bytes) -> bool:
    """Tell whether the root of an XML is in GML, or says that what is in it is."""
    try:
        for _, element in iterparse(BytesIO(head), events=("start",)):
            return b"opengis.net/gml" in head and not str(element.tag).endswith("}schema")
    except (ParseError, DefusedXmlException, ValueError):
        pass
    return False


def _check_json(path: Path, what: str) -> None:
    """Raise ConfigError for a GeoJSON with a link in the place of its coordinate system, anywhere in it."""
    if path.stat().st_size > LARGEST_JSON:
        problem = f"is JSON of more than {LARGEST_JSON >> 20} MiB, which is read as a whole"
        raise ConfigError(_refusal(path, what, problem))
    try:
        # Nothing is kept but what can name a system; of numbers, nothing at all.
        json.loads(path.read_bytes(), object_pairs_hook=_systems, parse_float=len, parse_int=len)
    except _LinkError as error:
        raise ConfigError(
            f'cannot read the {what} {path}: its "crs" is {str(error)[:100]}, and a file must not choose '
            'what is fetched. Write the system by its code, as in {"type": "name", "properties": {"name": '
            '"EPSG:3031"}}; without "crs" it is longitude and latitude.'
        ) from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(_refusal(path, what, f"begins like GeoJSON, and is none ({error})")) from None


class _LinkError(Exception):
    """A coordinate system that is none by name."""


def _systems(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    for key, value in pairs:
        if key == "crs" and isinstance(value, dict) and not _is_named(value):
            raise _LinkError(json.dumps(value))
    return {key: value for key, value in pairs if key in ("type", "properties", "name", "href")}


def _is_named(crs: dict[str, Any]) -> bool:
    said = crs.get("properties")
    name = said.get("name") if isinstance(said, dict) else None
    return crs.get("type") == "name" and isinstance(name, str) and bool(_CRS_NAME.fullmatch(name))
