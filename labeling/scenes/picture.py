"""Pictures as scenes: 8-bit RGB GeoTIFF, PNG and JPEG."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import MaskFlags, Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from labeling.doubt import Doubt
from labeling.errors import SceneError
from labeling.files import s3
from labeling.files.raster import OFFLINE, check_alone, check_beside, quiet_georeference
from labeling.files.state import state_of
from labeling.files.storage import AnyPath, read_range
from labeling.files.uri import gdal_path, quoted
from labeling.grid import Block
from labeling.scenes.colours import rgb_bands
from labeling.scenes.contract.beside import read_beside
from labeling.scenes.contract.pieces import LARGE, check_pieces, check_written
from labeling.scenes.contract.rendering import RGB8
from labeling.scenes.contract.scene import GDAL_OPTIONS, Pixels, SceneInfo
from labeling.scenes.place import LOSSY_BLACK, place_of, rim_of
from labeling.text import encodable

SUFFIXES: Final = frozenset({".tif", ".tiff", ".png", ".jpg", ".jpeg"})
"""Endings, in lower case, of the pictures that a folder is searched for."""

_TCI: Final = re.compile(r"(.*[-_.])?TCI([-_]10m)?", re.IGNORECASE)
"""How the true-colour images of products, the `visual` asset of STAC items, are called."""

_WINDOWED_DRIVERS: Final = frozenset({"GTiff", "JP2OpenJPEG"})

_MAGIC: Final = {
    b"II*\0": "GTiff", b"MM\0*": "GTiff", b"II+\0": "GTiff", b"MM\0+": "GTiff",
    b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG",
    b"\0\0\0\x0cjP": "JP2OpenJPEG", b"\xff\x4f\xff\x51": "JP2OpenJPEG",
}  # fmt: skip
"""How files begin, and GDAL's driver for them."""


@contextmanager
def open_picture(path: AnyPath) -> Iterator[PictureScene]:
    """Open a picture, here or in a bucket; SceneError when it is none, or not 8-bit RGB."""
    server = OFFLINE if isinstance(path, Path) else s3.gdal_options()
    with rasterio.Env(**(server | GDAL_OPTIONS)), quiet_georeference():
        try:
            driver = _driver_of(path)
            check_beside(path)
            dataset = rasterio.open(gdal_path(str(path)), driver=driver)
        except RasterioError as error:
            raise SceneError(
                f"{path} cannot be opened as a picture ({error}). It may be damaged. Fetch the file again, "
                "or leave it out."
            ) from None
        with dataset:
            check_alone(dataset, str(path))
            check_pieces(str(path), dataset)
            yield PictureScene(path, dataset)


def _driver_of(path: AnyPath) -> str:
    """Return GDAL's driver for a file, which GDAL itself would take for anything: a list of files, say."""
    try:
        start = read_range(path, 0, 8)
    except OSError as error:
        raise SceneError(
            f"{path} cannot be read ({error.strerror}). Let the user read it that runs the job."
        ) from None
    for magic, driver in _MAGIC.items():
        if start.startswith(magic):
            return driver
    if path.suffix.lower() == ".vrt" and read_range(path, 0, 512).lstrip().startswith(b"<VRTDataset"):
        raise SceneError(
            f"{path} is a virtual raster (VRT), a list of other files, whose changes nobody would see. Make "
            f"one file of it: `rio convert {quoted(str(path))} whole.tif`; or give its files."
        )
    raise SceneError(
        f"{path} cannot be opened as a picture: it begins like no GeoTIFF, PNG or JPEG. It may be damaged, "
        "or be something else. Fetch the file again, or leave it out."
    )


class PictureScene:
    """An 8-bit RGB picture, with or without alpha, mask, no-data value and georeference."""

    product = None

    def __init__(self, path: AnyPath, dataset: DatasetReader) -> None:
        self._path = path
        self._dataset = dataset
        self._bands = rgb_bands(str(path), dataset)
        self._nodata = [dataset.nodatavals[band - 1] for band in self._bands]
        self._rim = 0 if self._masked else rim_of(dataset)
        self._whole: Pixels | None = None

    @cached_property
    def info(self) -> SceneInfo:
        """The picture's description."""
        data, place = self._dataset, place_of(str(self._path), self._dataset)
        state = state_of(self._path).joined(read_beside(data), str(self._path.parent))
        return SceneInfo(
            uri=str(self._path),
            group=encodable(self._path.stem),
            renderings=[_rendering(self._path)],
            height=data.height,
            width=data.width,
            crs=place.crs.to_wkt() if place.crs else None,
            transform=list(place.transform)[:6] if place.transform else None,
            block=self._block,
            bytes=state.bytes,
            modified_ns=state.modified_ns,
            etag=state.etag,
            rim=self._rim,
            doubts=[[*doubt] for doubt in (*place.doubts, *_unread(str(self._path), data))] or None,
        )

    @property
    def _masked(self) -> bool:
        """Whether an alpha band or a mask says what is no-data, and no value does."""
        by_value = all(value is not None for value in self._nodata)
        return not by_value and MaskFlags.per_dataset in self._dataset.mask_flag_enums[self._bands[0] - 1]

    @property
    def _block(self) -> list[int]:
        whole = [self._dataset.height, self._dataset.width]
        rows, columns = self._dataset.block_shapes[0]
        if self._dataset.driver not in _WINDOWED_DRIVERS or rows * columns > LARGE:
            return whole
        return [min(rows, whole[0]), min(columns, whole[1])]

    def read(self, block: Block) -> Pixels:
        """Read a window. A picture that only decodes from its top is decoded once and kept."""
        if self.info.windowed:
            return self._decode(block)
        if self._whole is None:
            self._whole = self._decode(Block(0, 0, self._dataset.height, self._dataset.width))
        rows, columns = block.slices
        rgb, valid, _ = self._whole
        return Pixels(rgb[:, rows, columns], None if valid is None else valid[rows, columns])

    def preview(self, *, height: int, width: int) -> NDArray[np.uint8]:
        """Return the picture reduced to (height, width, 3), u8; a GeoTIFF's overviews are used."""
        try:
            rgb = self._dataset.read(self._bands, out_shape=(3, height, width), resampling=Resampling.average)
        except RasterioError as error:
            raise SceneError(f"{self._path} is damaged ({error}). Fetch the file again.") from None
        return np.ascontiguousarray(rgb.transpose(1, 2, 0))

    def _decode(self, block: Block) -> Pixels:
        try:
            rgb = self._dataset.read(self._bands, window=block.window)
            if self._rim:
                rgb[:, rgb.max(axis=0) <= LOSSY_BLACK] = 0
            valid = self._valid(rgb, block)
        except RasterioError as error:
            raise SceneError(
                f"{self._path} is damaged: its pixels at row {block.row}, column {block.column} cannot be "
                f"decoded ({error.__cause__ or error}). Fetch the file again."
            ) from None
        if valid is None:
            check_written(str(self._path), self._dataset, self._bands, block, rgb)
        return Pixels(rgb, valid)

    def _valid(self, rgb: NDArray[np.uint8], block: Block) -> NDArray[np.bool_] | None:
        if all(value is not None for value in self._nodata):
            # A pixel is no-data when every band says so: a single black band is a colour.
            red, green, blue = (band != value for band, value in zip(rgb, self._nodata, strict=True))
            return np.asarray(red | green | blue, np.bool_)
        if self._masked:
            return np.asarray(self._dataset.read_masks(self._bands[0], window=block.window) > 0, np.bool_)
        return None


def _unread(name: str, dataset: DatasetReader) -> list[Doubt]:
    """Return a doubt for a file with further pictures in it, of which the first alone is read."""
    pages = len(dataset.subdatasets)
    if pages < 2:
        return []
    return [
        Doubt(
            "more-pages",
            f"{name} holds {pages} pictures, and only the first is read. Give each a file of its own: "
            f"`rio convert GTIFF_DIR:2:{quoted(name)} second.tif`.",
        )
    ]


def _rendering(path: AnyPath) -> str:
    """Return what the picture's brightness means: ESA's scale where it is named as a true-colour image is.

    Such an image saturates at reflectance 0.3558 (L1C) or 0.2 (L2A): grey ice and snow are the same white.
    """
    if _TCI.fullmatch(path.stem) is None:
        return RGB8
    # Only L2A's is called _10m outside of its folders.
    of_surface = "10M" in path.stem.upper() or any("L2A" in part.upper() for part in path.parts)
    return "tci-l2a" if of_surface else "tci-l1c"
