"""Rasters, opened here or in a bucket."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.io import DatasetReader
from rasterio.windows import Window

from labeling.classes import IGNORE, IceClass
from labeling.errors import SceneError
from labeling.files import s3
from labeling.files.storage import AnyPath, named_like, read_range
from labeling.files.uri import gdal_path, quoted
from labeling.status import PixelStatus

TILE = 256
"""Side in pixels of a tile in every GeoTIFF we write."""


class Codes(NamedTuple):
    """Which of the values of a byte are codes."""

    name: str
    """What they are codes of, in the plural."""
    are: NDArray[np.bool_]
    """Of each of the 256 values, whether it is one."""

    @classmethod
    def of(cls, name: str, codes: Iterable[int]) -> Codes:
        """Return these codes."""
        return cls(name, np.isin(np.arange(256), [*codes]))

    @property
    def listed(self) -> str:
        """The codes in words: 0, 1, 2 and 255."""
        *some, last = np.flatnonzero(self.are)
        return f"{', '.join(map(str, some))} and {last}"


CODES_OF_CLASSES: Final = Codes.of("classes", [*IceClass, IGNORE])
CODES_OF_STATUS: Final = Codes.of("reasons", PixelStatus)
"""The codes of status.tif."""

_DRIVERS: Final = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
"""GDAL's drivers for files that do not end like a GeoTIFF."""

_LEADS: Final = (".ovr", ".msk", ".aux")
"""Endings of files beside a raster that GDAL opens as whatever they are; the last those of Erdas Imagine."""

_IMAGINE: Final = b"EHFA_HEADER_TAG"

_TIFF: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_ALONE: Final[dict[str, Any]] = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"}
"""Nothing beside a raster counts."""

OFFLINE: Final[dict[str, Any]] = {"CPL_VSIL_CURL_ALLOWED_FILENAME": "none"}
"""GDAL's own lock on its files over the network, while a file of this machine is open."""


@contextmanager
def open_raster(path: AnyPath, *, beside: bool = False) -> Iterator[DatasetReader]:
    """Open a raster for reading, here or in a bucket, as what its name says: a GeoTIFF, a PNG or a JPEG.

    GDAL would take anything for a raster: a list of files elsewhere, say. What lies beside it counts with
    `beside` only. SceneError for a raster that leads to other files.
    """
    options = OFFLINE if isinstance(path, Path) else s3.gdal_options()
    if not isinstance(path, Path) and not beside:
        # A file of this machine may be open around it, whose lock would hold here too.
        options = options | {"CPL_VSIL_CURL_ALLOWED_FILENAME": gdal_path(str(path))}
    if beside:
        check_beside(path)
    with (
        rasterio.Env(**({} if beside else _ALONE) | options),
        quiet_georeference(),
        rasterio.open(gdal_path(str(path)), driver=_DRIVERS.get(path.suffix.lower(), "GTiff")) as raster,
    ):
        check_alone(raster, str(path))
        yield raster


def check_alone(raster: DatasetReader, name: str) -> None:
    """Raise SceneError for an open raster that leads to another file, which GDAL would open wherever it is.

    A tag can name any file or address as its overviews. GDAL looks there once it is asked for overviews, for
    fewer pixels or for the files of a raster, so this has to be asked first.
    """
    if "OVERVIEW_FILE" in raster.tags(ns="OVERVIEWS"):
        raise SceneError(
            f"{name} names another file as its overviews (OVERVIEW_FILE), and a file must not choose what "
            f"else is opened. Leave it out, or make a copy without: `rio convert {quoted(name)} copy.tif`."
        )


def check_beside(path: AnyPath) -> None:
    """Raise SceneError where overviews or a mask beside a raster are no GeoTIFF that leads nowhere.

    GDAL opens them as whatever they are: a virtual raster would lead to any file or address.
    """
    for file in _leads(path):
        head = read_range(file, 0, len(_IMAGINE))
        if file.suffix.lower() == ".aux" and head != _IMAGINE:
            continue  # somebody else's
        if not head.startswith(_TIFF):
            raise SceneError(
                f"{file} lies where overviews or the mask of {path.name} would, and is no GeoTIFF. Remove "
                "it: a scene needs neither."
            )
        with open_raster(file):
            pass


def _leads(path: AnyPath) -> list[AnyPath]:
    """Return the files beside a raster that GDAL may open for it, and those beside these."""
    # In a bucket, too, GDAL looks through the names of a folder, and takes capitals for small letters.
    names = named_like(path.parent, f"{path.stem}.")
    return [path.parent / name for name in names if name.lower().endswith(_LEADS)]


def check_shape(raster: DatasetReader, *, height: int, width: int) -> None:
    """Raise SceneError unless an open raster has the size of its scene."""
    if raster.shape != (height, width):
        raise SceneError(
            f"{raster.name} has {raster.height} rows x {raster.width} columns, and its scene has {height} x "
            f"{width}: it is of another scene, or was changed. Remove it, and run the job that made it again."
        )


def read_codes(
    raster: DatasetReader, window: Window | None = None, known: Codes = CODES_OF_CLASSES
) -> NDArray[np.uint8]:
    """Return codes of an open raster, u8 (height, width): IceClass or IGNORE, or others that are `known`.

    SceneError where its first band holds anything else: then it is no raster of such codes.
    """
    codes = np.asarray(raster.read(1, window=window))
    if codes.dtype != np.uint8 or not known.are[codes].all():
        held = np.unique(codes)
        others = ", ".join(str(code) for code in held[~np.isin(held, np.flatnonzero(known.are))][:4])
        raise SceneError(
            f"{raster.name} holds {codes.dtype} values such as {others or held[0]}, and {known.name} are the "
            f"codes {known.listed} in 8 bits: it is no raster of {known.name}. Remove it, and run the job "
            "that made it again."
        )
    return codes


@contextmanager
def quiet_georeference() -> Iterator[None]:
    """Silence rasterio's warning about pictures without georeference: they are a supported input."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        yield
