"""Beside a raster of codes: its names and colours as GDAL (.tif.aux.xml) and QGIS (.qml) read them.

A GeoTIFF holds colours, but no names that a viewer would show. GDAL looks for them in NAME.tif.aux.xml, as
category names and as a raster attribute table, and QGIS for a style in NAME.qml. rasterio writes neither, so
they are written here; tests read them back with GDAL.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath
from typing import Final
from xml.etree import ElementTree as Xml

from labeling.files.atomic import write_bytes
from labeling.files.cogs.legend import Entry, Legend
from labeling.files.storage import AnyPath

_INTEGER, _STRING = "0", "2"
"""GDAL's types of columns (GDALRATFieldType)."""

_COLUMNS: Final = (
    ("Value", _INTEGER, "5"),
    ("Class", _STRING, "2"),
    ("Red", _INTEGER, "6"),
    ("Green", _INTEGER, "7"),
    ("Blue", _INTEGER, "8"),
)
"""Columns of the attribute table: name, type, and what GDAL is to use it for (GDALRATFieldUsage)."""


def name_files(raster: str) -> list[str]:
    """Return the names of the files that `write_names` puts beside a raster of this name."""
    return [f"{raster}.aux.xml", PurePath(raster).with_suffix(".qml").name]


def write_names(target: AnyPath, legend: Legend) -> None:
    """Write names and colours of the codes of a raster beside it; `target` is the raster's path."""
    gdal, qgis = name_files(target.name)
    write_bytes(target.parent / gdal, _document(_pam(legend)))
    write_bytes(target.parent / qgis, _document(_style(legend), "<!DOCTYPE qgis>\n"))


def _document(root: Xml.Element, head: str = "") -> bytes:
    Xml.indent(root)
    return f"{head}{Xml.tostring(root, encoding='unicode')}\n".encode()


def _pam(legend: Legend) -> Xml.Element:
    root = Xml.Element("PAMDataset")
    band = Xml.SubElement(root, "PAMRasterBand", band="1")
    names = Xml.SubElement(band, "CategoryNames")
    titles = {entry.code: entry.title for entry in legend.entries}
    # Category names are numbered from 0, so codes that mean nothing have an empty one.
    for code in range(max(titles) + 1):
        Xml.SubElement(names, "Category").text = titles.get(code, "")
    table = Xml.SubElement(band, "GDALRasterAttributeTable", tableType="thematic")
    for index, (name, kind, use) in enumerate(_COLUMNS):
        field = Xml.SubElement(table, "FieldDefn", index=str(index))
        for tag, text in (("Name", name), ("Type", kind), ("Usage", use)):
            Xml.SubElement(field, tag).text = text
    for index, entry in enumerate(legend.entries):
        row = Xml.SubElement(table, "Row", index=str(index))
        for cell in (entry.code, entry.title, *entry.colour):
            Xml.SubElement(row, "F").text = str(cell)
    return root


def _style(legend: Legend) -> Xml.Element:
    root = Xml.Element("qgis", version="3.28", styleCategories="Symbology")
    pipe = Xml.SubElement(root, "pipe")
    shown = Xml.SubElement(pipe, "rasterrenderer", type="paletted", band="1", opacity="1", alphaBand="-1")
    palette = Xml.SubElement(shown, "colorPalette")
    for entry in _classed(legend):
        Xml.SubElement(
            palette, "paletteEntry",
            value=str(entry.code), label=entry.title, color=f"#{entry.hex}", alpha="255",
        )  # fmt: skip
    return root


def _classed(legend: Legend) -> Iterable[Entry]:
    """Yield the codes that QGIS draws: no-data it leaves out, and a legend without it is shorter."""
    return (entry for entry in legend.entries if entry.code != legend.nodata)
