"""Names of codes beside a raster: GDAL itself reads them, and QGIS's style names every code that it draws."""

from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
from gdal_library import attribute_table, category_names
from rasterio.windows import Window

from labeling.classes import IGNORE, PALETTES, IceClass
from labeling.files.cogs.legend import STATUS, class_legend
from labeling.files.cogs.names import name_files, write_names
from labeling.files.cogs.write import write_codes
from labeling.status import UNKNOWN, PixelStatus

LEGENDS = {"status": STATUS} | {palette: class_legend(palette) for palette in PALETTES}


@pytest.fixture(params=LEGENDS)
def named(request, tmp_path):
    """A raster, its names beside it, and what its codes are called and coloured."""
    legend = LEGENDS[request.param]
    path = tmp_path / "codes.tif"
    whole = [(Window(0, 0, 3, 1), np.array([[0, 1, 2]], np.uint8))]
    write_codes(path, whole, legend, height=1, width=3, crs=None, transform=None)
    write_names(path, legend)
    if request.param == "status":
        meant = {int(status): (status.title, status.colour) for status in PixelStatus}
    else:
        meant = {int(c): (c.title, PALETTES[request.param][c]) for c in IceClass}
        meant[IGNORE] = ("no class: no-data, cloud or land", PALETTES[request.param][IGNORE])
    return path, meant


def test_gdal_reads_names(named):
    path, meant = named
    names = category_names(path)
    assert len(names) == max(meant) + 1
    assert {code: name for code, name in enumerate(names) if name} == {
        c: text for c, (text, _) in meant.items()
    }


def test_gdal_reads_the_attribute_table(named):
    path, meant = named
    value, name, red, green, blue = (attribute_table(path)[usage] for usage in (5, 2, 6, 7, 8))
    colours = [tuple(map(int, colour)) for colour in zip(red, green, blue, strict=True)]
    found = {int(v): (n, c) for v, n, c in zip(value, name, colours, strict=True)}
    assert found == meant


def test_what_lies_beside_changes_no_pixel_and_no_colour(named):
    path, _ = named
    with rasterio.open(path) as raster:
        beside = (raster.read().tolist(), raster.colormap(1), raster.tags(1), raster.nodata)
    for name in name_files(path.name):
        (path.parent / name).unlink()
    with rasterio.open(path) as raster:
        assert (raster.read().tolist(), raster.colormap(1), raster.tags(1), raster.nodata) == beside


def test_the_style_of_qgis_names_what_is_drawn(named):
    path, meant = named
    text = path.with_suffix(".qml").read_text()
    assert text.startswith("<!DOCTYPE qgis")
    [drawn] = ElementTree.fromstring(text).iter("rasterrenderer")
    assert (drawn.get("type"), drawn.get("band")) == ("paletted", "1")
    entries = {int(e.get("value")): (e.get("label"), e.get("color")) for e in drawn.iter("paletteEntry")}
    assert entries == {
        code: (title, "#" + bytes(colour).hex())
        for code, (title, colour) in meant.items()
        if code not in (IGNORE, UNKNOWN)
    }


def test_names_lie_where_gdal_and_qgis_look():
    assert name_files("labels.tif") == ["labels.tif.aux.xml", "labels.qml"]
