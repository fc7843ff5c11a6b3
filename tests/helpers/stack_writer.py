"""Stacks for tests: GeoTIFF whose bands have names."""

import rasterio
from rasterio.transform import from_origin

NAMES = ("B02", "B03", "B04")
PLACE = {"crs": "EPSG:32758", "transform": from_origin(399_960, 1_700_040, 10, 10)}


def write_stack(path, values, names=NAMES, *, scale=None, offset=None, tags=None, **options):
    """Write (bands, height, width) with descriptions and return the path."""
    count, height, width = values.shape
    profile = {"driver": "GTiff", "dtype": values.dtype, "count": count, "height": height, "width": width}
    with rasterio.open(path, "w", **(profile | PLACE | options)) as raster:
        raster.write(values)
        raster.descriptions = names
        raster.update_tags(**(tags or {}))
        if scale is not None:
            raster.scales = [scale] * count
        if offset is not None:
            raster.offsets = [offset] * count
    return path
