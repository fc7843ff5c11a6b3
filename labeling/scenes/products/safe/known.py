"""How a product in SAFE format is known: by its name, or by where its XML lies."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Final

from labeling.errors import SceneError
from labeling.files.storage import AnyPath
from labeling.scenes.products.safe.aws import is_of_aws
from labeling.scenes.products.safe.zip import zip_members

_NAME: Final = re.compile(r"S2[A-D]_.*\.(SAFE|SAFE\.zip|zip)", re.IGNORECASE)
_PRODUCT_XML: Final = re.compile(r"(MTD_MSIL(1C|2A)|S2\w_\w{4}_MTD_SAFL(1C|2A)_.*)\.xml")
_DEEPEST: Final = 2
"""Folders above a product's XML in a zip: that of the product, and one that a program has put around it."""


def is_safe(path: AnyPath) -> bool:
    """Tell whether a file or folder is a Sentinel-2 product in SAFE format, whatever it is called.

    It is one by its name, or because the XML of a product lies where `find_files` looks for it; a tile of
    AWS counts, for `find_files` to say what it is. In a bucket a name has to do for folders.
    """
    if _NAME.fullmatch(path.name) is not None:
        return True
    try:
        if path.suffix.lower() == ".zip" and path.is_file():
            return bool(product_xmls(zip_members(path)))
        if not isinstance(path, Path) or not path.is_dir():
            return False
        names = [entry.name for entry in path.iterdir()]
        return bool(product_xmls(names)) or is_of_aws(names)
    except (OSError, SceneError):
        return False


def inner(folder: Path) -> Path | None:
    """Return the folder with a product's XML: the given one, or the only .SAFE folder in it."""
    inside = [each for each in folder.iterdir() if each.suffix.upper() == ".SAFE" and each.is_dir()]
    for place in [folder, *(inside if len(inside) == 1 else [])]:
        if product_xmls(entry.name for entry in place.iterdir()):
            return place
    return None


def product_xmls(names: Iterable[str]) -> list[str]:
    """Return the product XML among files, those that lie least deep, at most two folders down."""
    found = [name for name in names if _PRODUCT_XML.fullmatch(PurePosixPath(name).name)]
    least = min((name.count("/") for name in found), default=0)
    return [name for name in found if name.count("/") == least <= _DEEPEST]
