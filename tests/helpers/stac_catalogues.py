"""Small STAC items for tests, in the form of three catalogues.

They describe a SAFE product that is there too, so that what is read from one can be compared with the other.
Properties and assets are those of real items; what this project never reads is left out.
"""

import json
import re
from pathlib import Path

import numpy as np
import rasterio

from labeling.bands import BANDS
from labeling.scenes.products.stacks.names import COMMON_NAMES

CATALOGUES = ("earth-search", "planetary-computer", "cdse")


def write_item(folder: Path, safe: Path, spec, catalogue: str, *, applied=False) -> Path:
    """Describe the product in `safe`, a folder in `folder`, and return the item's file.

    `applied`: as in much of Earth Search, the COGs have the offset subtracted, and the assets state it still.
    """
    describe = {"earth-search": _earth_search, "planetary-computer": _planetary_computer, "cdse": _cdse}
    properties, assets = describe[catalogue](folder, safe, spec)
    if applied:
        properties["earthsearch:boa_offset_applied"] = True
        for band in BANDS[spec.product_type]:
            write_cog(folder / f"{band}.tif", *_stored(safe / spec.image(band, band.resolution), spec.offset))
    item = {
        "type": "Feature",
        "stac_version": "1.1.0" if catalogue == "cdse" else "1.0.0",
        "id": spec.name if catalogue == "cdse" else item_id(spec),
        "collection": f"sentinel-2-{spec.product_type.lower()}",
        "geometry": None,
        "links": [],
        "properties": {
            "datetime": "2019-11-03T20:39:01.024000Z",
            "platform": f"sentinel-2{spec.unit.lower()}",
            "constellation": "sentinel-2",
            "instruments": ["msi"],
            **properties,
        },
        "assets": assets,
    }
    file = folder / "item.json"
    file.write_text(json.dumps(item))
    return file


def item_id(spec):
    """Return the id that Earth Search gives an item."""
    return f"S2{spec.unit}_{spec.tile}_20191103_0_{spec.product_type}"


def edit(file: Path, change) -> Path:
    """Change an item in place: `change` gets the decoded item."""
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    return file


def write_cog(path: Path, values, profile) -> None:
    """Write (height, width) or (bands, height, width) as a COG."""
    values = values if values.ndim == 3 else values[np.newaxis]
    count, height, width = values.shape
    options = {"driver": "COG", "dtype": values.dtype, "count": count, "height": height, "width": width}
    place = {key: profile[key] for key in ("crs", "transform")}
    with rasterio.open(path, "w", **options, **place, blocksize=128, compress="deflate") as raster:
        raster.write(values)


def _earth_search(folder, safe, spec):
    assets = {}
    for band in BANDS[spec.product_type]:
        jp2 = safe / spec.image(band, band.resolution)
        write_cog(folder / f"{band}.tif", *_stored(jp2))
        scaling = {"nodata": 0, "data_type": "uint16", "bits_per_sample": 15, "scale": 0.0001}
        raster = scaling | {"spatial_resolution": band.resolution, "offset": spec.offset / 10_000}
        common = {"roles": ["data", "reflectance"], "raster:bands": [raster]}
        name = COMMON_NAMES[band]
        assets[name] = {"href": f"./{band}.tif", "type": "image/tiff; application=geotiff", **common}
        assets[f"{name}-jp2"] = {"href": jp2.relative_to(folder).as_posix(), "type": "image/jp2", **common}
    assets |= _codes(folder, safe, spec, "scl")
    properties = {
        "proj:epsg": 32758,
        "mgrs:utm_zone": 58,
        "mgrs:latitude_band": "C",
        "mgrs:grid_square": "DU",
        "grid:code": f"MGRS-{spec.tile}",
        "view:sun_elevation": 90 - spec.sun_zenith,
        "s2:product_type": f"S2MSI{spec.product_type[1:]}",
        "s2:processing_baseline": spec.baseline,
        "s2:product_uri": f"{spec.name}.SAFE",
        "s2:datatake_id": spec.datatake,
        "earthsearch:boa_offset_applied": False,
    }
    return properties, assets


def _planetary_computer(folder, safe, spec):
    assets = {}
    for band in BANDS[spec.product_type]:
        write_cog(folder / f"{band}.tif", *_stored(safe / spec.image(band, band.resolution)))
        assets[str(band)] = {"href": f"{band}.tif", "type": "image/tiff", "roles": ["data"]}
    assets |= _codes(folder, safe, spec, "SCL")
    for key, name in (("product-metadata", spec.product_xml), ("granule-metadata", spec.granule_xml)):
        assets[key] = {"href": f"{safe.name}/{name}", "type": "application/xml", "roles": ["metadata"]}
    properties = {
        "proj:epsg": 32758,
        "sat:relative_orbit": spec.relative_orbit,
        "s2:mgrs_tile": spec.tile,
        "s2:product_type": f"S2MSI{spec.product_type[1:]}",
        "s2:processing_baseline": spec.baseline,
        "s2:product_uri": f"{spec.name}.SAFE",
        "s2:datatake_id": spec.datatake,
        "s2:mean_solar_zenith": spec.sun_zenith,
    }
    return properties, assets


def _cdse(folder, safe, spec):
    assets = {}
    for image in sorted((safe / "GRANULE").rglob("IMG_DATA/**/*.jp2")):
        layer, metres = re.search(r"_(B\w\w|SCL|TCI)(_\d0m)?\.jp2", image.name).groups()
        href = image.relative_to(folder).as_posix()
        assets[f"{layer}{metres or ''}"] = {
            "href": href,
            "alternate": {"https": {"href": f"https://zipper.example/{href}", "auth:refs": ["oidc"]}},
            "type": "image/jp2",
            "nodata": 0,
            "proj:code": spec.crs,
        }
        if layer.startswith("B"):
            assets[f"{layer}{metres or ''}"] |= {
                "bands": [{"name": layer, "eo:common_name": "any"}],
                "data_type": "uint16",
                "raster:scale": 0.0001,
                "raster:offset": spec.offset / 10_000,
            }
    properties = {
        "grid:code": f"MGRS-{spec.tile}",
        "product:type": f"S2MSI{spec.product_type[1:]}",
        "processing:level": spec.product_type[:2],
        "processing:version": spec.baseline,
        "sat:relative_orbit": spec.relative_orbit,
        "view:sun_elevation": 90 - spec.sun_zenith,
        "eopf:datatake_id": spec.datatake,
    }
    return properties, assets


def _codes(folder, safe, spec, key):
    if spec.product_type != "L2A":
        return {}
    write_cog(folder / "SCL.tif", *_stored(safe / spec.image("SCL", 20)))
    return {key: {"href": "SCL.tif", "raster:bands": [{"nodata": 0, "data_type": "uint8"}]}}


def _stored(jp2, offset=0):
    """Return what an image stores, with the offset applied as Earth Search does, and its profile."""
    with rasterio.open(jp2) as raster:
        values = raster.read(1)
        if offset:
            shifted = np.maximum(values.astype(np.int32) + offset, 1).astype(np.uint16)
            values = np.where(values == 0, values, shifted)
        return values, raster.profile
