"""Commands that messages give to be copied, of tools that come with the packages that this project needs."""

from __future__ import annotations

from labeling.files.uri import quoted, suffix


def edit_info(uri: str, option: str) -> str:
    """Return the command that changes what a raster says of itself, for example by `--nodata 0`.

    A JPEG would be compressed anew by it, so a GeoTIFF is made of it first.
    """
    if not is_jpeg(uri):
        return f"rio edit-info {option} {quoted(uri)}"
    convert = f"rio convert {quoted(uri)} picture.tif --co compress=deflate --co photometric=RGB"
    return f"{convert}; rio edit-info {option} picture.tif"


def is_jpeg(uri: str) -> bool:
    """Tell from its name whether a file is a JPEG."""
    return suffix(uri) in (".jpg", ".jpeg")
