"""Rasters of a product, local or remote, opened when first asked for and closed together."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from labeling.errors import SceneError
from labeling.files import s3
from labeling.files.raster import check_alone, check_beside, quiet_georeference
from labeling.files.redact import without_secrets
from labeling.files.storage import at, is_s3, is_waiting
from labeling.files.uri import gdal_path, is_url, shown
from labeling.grid import Block
from labeling.scenes.contract.pieces import check_pieces
from labeling.scenes.products.stacks.servers import open_on_server

GDAL_OPTIONS: Final[dict[str, Any]] = {
    # With more threads GDAL drops errors of JPEG 2000 blocks, and Spark runs one task per core already.
    "GDAL_NUM_THREADS": 1,
    # Bytes: windows that overlap, and coarse bands, come back to two rows of 1024-pixel tiles of some bands.
    # GDAL would keep 5 % of the machine's memory in every worker.
    "GDAL_CACHEMAX": 256 << 20,
    # Nothing beside an image may change what it says, unless asked; and on a server, no folder is listed.
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
}


class RasterFiles:
    """The open rasters of one product. It is not shared between threads and crosses to no other process."""

    def __init__(self, stack: ExitStack, *, beside: bool) -> None:
        self._stack, self._beside = stack, beside
        self._images: dict[str, DatasetReader] = {}

    def open(self, locations: Sequence[str]) -> DatasetReader:
        """Open one file by the first of its places that works; SceneError when none does."""
        if locations[0] not in self._images:
            self._images[locations[0]] = self._stack.enter_context(_open_any(locations, beside=self._beside))
        return self._images[locations[0]]

    def read(
        self, locations: Sequence[str], index: int | None, block: Block, *, masks: bool = False
    ) -> NDArray[Any]:
        """Read a block of native pixels of one band, or of all (None), as stored; SceneError when damaged.

        With `masks` it is what the file's mask or alpha says of them: 0 is no-data.
        """
        image = self.open(locations)
        try:
            return np.asarray((image.read_masks if masks else image.read)(index, window=block.window))
        except RasterioError as error:
            problem = "has failed on its way, or is damaged" if is_url(locations[0]) else "is damaged"
            raise SceneError(
                f"{shown(locations[0])} {problem}: the pixels at row {block.row}, column {block.column} "
                f"cannot be read ({_reason(error)}). Run again, or fetch the file again."
            ) from None


@contextmanager
def raster_files(*, beside: bool = False) -> Iterator[RasterFiles]:
    """Open rasters within the block, with settings that suit servers and damaged files alike.

    What lies beside a raster (names of bands in .aux.xml, a mask in .msk) counts with `beside` only.
    """
    options = GDAL_OPTIONS | ({"GDAL_DISABLE_READDIR_ON_OPEN": "FALSE"} if beside else {})
    with (
        rasterio.Env(**(s3.gdal_options() | options)),
        quiet_georeference(),
        _masked_log(),
        ExitStack() as stack,
    ):
        yield RasterFiles(stack, beside=beside)


@contextmanager
def _masked_log() -> Iterator[None]:
    """Keep the keys of signed links out of what rasterio logs of GDAL's warnings."""

    def mask(record: logging.LogRecord) -> bool:
        record.msg, record.args = without_secrets(record.getMessage()), ()
        return True

    log = logging.getLogger("rasterio._env")
    log.addFilter(mask)
    try:
        yield
    finally:
        log.removeFilter(mask)


@contextmanager
def _open_any(locations: Sequence[str], *, beside: bool) -> Iterator[DatasetReader]:
    failures = []
    for location in locations:
        if is_waiting(location):
            failures.append(f"{location} is no file, but a pipe or a device")
            continue
        if beside and (is_s3(location) or not is_url(location)):
            check_beside(at(location))
        with ExitStack() as stack:
            try:
                image = stack.enter_context(_opened(location))
            except RasterioError as error:
                name = shown(location)
                failures.append(f"{name} cannot be opened as GeoTIFF or JPEG 2000 ({_reason(error)})")
                continue
            check_alone(image, shown(location))
            check_pieces(shown(location), image)
            yield image
            return
    raise SceneError(f"{'; '.join(failures)}. {_way_out(locations[0])}")


@contextmanager
def _opened(location: str) -> Iterator[DatasetReader]:
    driver = _driver(location)
    if is_url(location) and not is_s3(location):
        with open_on_server(location, driver) as image:
            yield image
    else:
        with rasterio.open(gdal_path(location), driver=driver) as image:
            yield image


def _driver(location: str) -> str:
    # It is named so that no other kind of file passes for an image: a VRT could lead anywhere.
    return "JP2OpenJPEG" if ".jp2" in location.lower() else "GTiff"


def _reason(error: RasterioError) -> str:
    # GDAL repeats the whole address, with the key of a signed link.
    return without_secrets(str(error.__cause__ or error))


def _way_out(location: str) -> str:
    if not is_url(location):
        return "Fetch the file again."
    if location[:2].lower() == "s3":
        return (
            "Check the credentials that GDAL sees (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY; where readers "
            "pay AWS_REQUEST_PAYER=requester; for CDSE AWS_S3_ENDPOINT=eodata.dataspace.copernicus.eu), or "
            "download the product."
        )
    return (
        "Check the address, whether a signed link has expired, and that the server answers requests for "
        "ranges."
    )
