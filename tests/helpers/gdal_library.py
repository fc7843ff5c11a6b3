"""GDAL's own C library, the one that rasterio brings, for what rasterio does not read: names of codes."""

import ctypes
from contextlib import contextmanager
from pathlib import Path

import rasterio

_POINTERS = ("GDALOpen", "GDALGetRasterBand", "GDALGetDefaultRAT")
_NAMES = "GDALGetRasterCategoryNames"


def _library():
    [path] = (Path(rasterio.__file__).parents[1] / "rasterio.libs").glob("libgdal-*")
    library = ctypes.CDLL(str(path))
    for name in _POINTERS:
        getattr(library, name).restype = ctypes.c_void_p
    getattr(library, _NAMES).restype = ctypes.POINTER(ctypes.c_char_p)
    library.GDALRATGetValueAsString.restype = ctypes.c_char_p
    return library


@contextmanager
def _band(path):
    library = _library()
    library.GDALAllRegister()
    dataset = library.GDALOpen(str(path).encode(), 0)
    assert dataset, f"GDAL does not open {path}"
    try:
        # gdalinfo asks for the place first, too: only then a GeoTIFF looks at what lies beside it.
        library.GDALGetGeoTransform(ctypes.c_void_p(dataset), (ctypes.c_double * 6)())
        yield library, ctypes.c_void_p(library.GDALGetRasterBand(ctypes.c_void_p(dataset), 1))
    finally:
        library.GDALClose(ctypes.c_void_p(dataset))


def category_names(path):
    """Return the names of the codes 0, 1, … of a raster's first band, as GDAL reads them."""
    with _band(path) as (library, band):
        found, names = [], getattr(library, _NAMES)(band)
        while names and names[len(found)] is not None:
            found.append(names[len(found)].decode())
        return found


def attribute_table(path):
    """Return the raster attribute table of a first band: {usage: [text, …]} by GDALRATFieldUsage."""
    with _band(path) as (library, band):
        table = library.GDALGetDefaultRAT(band)
        assert table, f"GDAL finds no attribute table with {path}"
        table = ctypes.c_void_p(table)
        rows, columns = library.GDALRATGetRowCount(table), library.GDALRATGetColumnCount(table)
        return {
            library.GDALRATGetUsageOfCol(table, column): [
                library.GDALRATGetValueAsString(table, row, column).decode() for row in range(rows)
            ]
            for column in range(columns)
        }
