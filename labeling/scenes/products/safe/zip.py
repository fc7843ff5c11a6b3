"""Zips of Sentinel-2 products, read in place, and refused where they are damaged or made to do harm."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Final

from labeling.errors import SceneError
from labeling.files.storage import AnyPath, open_regular

LARGEST_PRODUCT: Final = 8 << 30
"""Bytes that a zip may hold when unpacked; a real product holds about 1 GiB."""

LARGEST_RATIO: Final = 50
"""Unpacked over packed bytes of a zip above 64 MiB; JPEG 2000 hardly shrinks, so real ones stay below 2."""

MOST_FILES: Final = 10_000
"""Entries of a zip; a real product has some 200."""

_RATIO_MATTERS_FROM: Final = 64 << 20

_READABLE: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_METHODS: Final = {9: "Deflate64", 12: "BZIP2", 14: "LZMA", 93: "Zstandard", 95: "XZ", 98: "PPMd"}
"""Names of other methods of compression, as Windows Explorer and 7-Zip use them."""

# NotImplementedError, a compression that is not known, is a RuntimeError.
UNREADABLE: Final = (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What reading a damaged file, in a zip or not, may raise."""


@contextmanager
def open_zip(path: AnyPath) -> Iterator[zipfile.ZipFile]:
    """Open a zip; of one in a bucket only its list and what is read are fetched."""
    with open_regular(path) as file, zipfile.ZipFile(file) as archive:
        yield archive


def zip_members(path: AnyPath) -> dict[str, str]:
    """Return the files of a zip by name after checking that all of it is safe to read; else SceneError.

    Names are as GDAL has them; the values are those in the zip, where some programs of Windows write a
    backslash.
    """
    try:
        with open_zip(path) as archive:
            entries = archive.infolist()
    except UNREADABLE as error:
        raise SceneError(f"{path} is damaged, or no zip at all ({error}). Fetch it again.") from None
    for entry in entries:
        name = _plain(entry.filename)
        if _leads_out(name):
            raise _unsafe(path, f"the path '{entry.filename}' in it leads out of the product")
        if entry.flag_bits & 1:
            raise SceneError(f"{path} is encrypted. Give a zip without a password.")
        if entry.compress_type not in _READABLE:
            method = _METHODS.get(entry.compress_type, f"method {entry.compress_type}")
            raise SceneError(
                f"{path} is packed with {method}, which cannot be read in place. Unpack it with the program "
                "that made it (Windows Explorer: Extract All; 7-Zip), and give the .SAFE folder."
            )
    unpacked, packed = sum(e.file_size for e in entries), sum(e.compress_size for e in entries)
    if len(entries) > MOST_FILES:
        raise _unsafe(path, f"it lists {len(entries)} files, more than {MOST_FILES}")
    if unpacked > LARGEST_PRODUCT:
        raise _unsafe(path, f"it unpacks to {unpacked >> 20} MiB, more than {LARGEST_PRODUCT >> 20} MiB")
    if unpacked > _RATIO_MATTERS_FROM and unpacked > LARGEST_RATIO * packed:
        raise _unsafe(path, f"it unpacks to more than {LARGEST_RATIO} times its size, as a zip bomb does")
    return {
        name: entry.filename
        for entry in entries
        if not (name := _plain(entry.filename)).endswith("/") and not beside_mac(name)
    }


def _plain(name: str) -> str:
    """Return a name as GDAL has it: with `/`, and without `./` in front."""
    return name.replace("\\", "/").removeprefix("./")


def beside_mac(name: str) -> bool:
    """Tell whether a file is what macOS writes beside others on foreign disks and in zips."""
    return any(part.startswith("._") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def _leads_out(name: str) -> bool:
    return name.startswith("/") or ":" in name or ".." in PurePosixPath(name).parts


def _unsafe(path: AnyPath, reason: str) -> SceneError:
    return SceneError(
        f"{path} is refused: {reason}. Do not use this copy: fetch the product from its source."
    )
