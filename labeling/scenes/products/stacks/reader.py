"""One GeoTIFF or COG whose bands are named: reflectance, or DN that say how to become reflectance.

Names are the bands' descriptions (see `band_named`). What the values mean depends on how they are stored:

  float32, float64   reflectance, or stored * scale + offset where the file states those; NaN and the
                     file's no-data value are no-data
  uint16, int16      DN; no-data is the file's, or 0; 65535 is saturated. Scale and offset of each band, as
                     GDAL keeps them, or the tags QUANTIFICATION_VALUE and RADIO_ADD_OFFSET (L2A:
                     BOA_…) say how to read them. Where nothing does, the file is refused: DN of products
                     since baseline 04.00 are 1000 higher than before, and one cannot tell by looking.

The tags REFLECTANCE_SCALE and REFLECTANCE_OFFSET go before all of these: reflectance = stored * scale +
offset, for any type. A mask or alpha band says what is no-data where no value does.

A band described as SCL holds scene classes. Pixels are squares of 10, 20 or 60 m, all bands alike. The
product's grid is of 10 m whatever they are: a stack of 20 m pixels becomes a scene with four pixels for each
of its own, interpolated between them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from labeling.bands import Band
from labeling.errors import SceneError
from labeling.files.fetch import probe
from labeling.files.raster import open_raster
from labeling.files.state import FileState, state_of
from labeling.files.storage import AnyPath, is_s3
from labeling.files.uri import is_url, quoted, shown, stem
from labeling.scenes.contract.beside import read_beside
from labeling.scenes.contract.plausible import stating
from labeling.scenes.products.stacks.facts import Grid, RasterFacts, grid_of
from labeling.scenes.products.stacks.files import RasterFiles, raster_files
from labeling.scenes.products.stacks.measured import DTYPES, Calibration, is_dn
from labeling.scenes.products.stacks.names import band_named
from labeling.scenes.products.stacks.rasters import BandRaster, BandRasters, LayerRaster
from labeling.scenes.products.stacks.tags import TagFacts, read_calibration, read_facts, read_scale

SUFFIXES: Final = frozenset({".tif", ".tiff"})
"""Endings, in lower case, of a stack."""

_CLASSES: Final = "SCL"
"""Description of a band of scene classes, in any case."""


def is_stack(path: AnyPath) -> bool:
    """Tell whether a file is a stack, from its header: a GeoTIFF with a named band that is not 8 bit.

    Eight bits are a picture, whatever its bands are called. False for what cannot be opened at all.
    """
    if path.suffix.lower() not in SUFFIXES or not path.is_file():
        return False
    try:
        with open_raster(path, beside=True) as image:
            named = zip(image.descriptions, image.dtypes, strict=True)
            return any(name and band_named(name) and dtype not in ("uint8", "int8") for name, dtype in named)
    except RasterioError:
        return False


@contextmanager
def open_stack(uri: str) -> Iterator[tuple[BandRasters, FileState]]:
    """Open the stack at `uri`, a path or URL, and return it with its state.

    SceneError says why it cannot be opened.
    """
    listed = is_s3(uri) or not is_url(uri)  # web servers list no folders
    state = probe(uri) if is_url(uri) else state_of(Path(uri))
    with raster_files(beside=listed) as files:
        stack = _read_stack(uri, files)
        beside = read_beside(files.open([uri])) if listed else []
        yield stack, state.joined(beside, uri.rpartition("/")[0])


def _read_stack(uri: str, files: RasterFiles) -> BandRasters:
    name, image = shown(uri), files.open([uri])
    said = read_facts(image.tags())
    return BandRasters(
        name,
        _facts(stem(uri), said, grid_of(image, name)),
        files,
        {
            band: BandRaster((uri,), index, _calibration(uri, image, index, said.baseline))
            for band, index in _indexes(uri, image).items()
        },
        _layers(uri, image),
        lambda band: f"its bands are described as {_described(image)}",
    )


def _indexes(uri: str, image: DatasetReader) -> dict[Band, int]:
    """Return the 1-based index of each band that is named; SceneError when a name comes twice."""
    name, found = shown(uri), dict[Band, int]()
    for index, description in enumerate(image.descriptions, start=1):
        band = band_named(description or "")
        if band is None:
            continue
        if band in found:
            raise SceneError(
                f"{name} has two bands {band}: {found[band]} and {index}. Name each once, for example: `rio "
                f"edit-info -b {index} --description other {quoted(uri)}`."
            )
        found[band] = index
    if not found:
        raise SceneError(
            f"{name} names no Sentinel-2 band: its bands are described as {_described(image)}. Describe "
            f"them as B02, B03, B04, …, the first by: `rio edit-info -b 1 --description B02 {quoted(uri)}`."
        )
    return found


def _layers(uri: str, image: DatasetReader) -> dict[str, LayerRaster]:
    names = [(description or "").strip().upper() for description in image.descriptions]
    return {_CLASSES: LayerRaster((uri,), names.index(_CLASSES) + 1)} if _CLASSES in names else {}


def _described(image: DatasetReader) -> str:
    return ", ".join(repr(description or "") for description in image.descriptions)


def _facts(name: str, said: TagFacts, grid: Grid) -> RasterFacts:
    known = said._asdict()
    known["product_id"] = said.product_id or name
    known["acquisition"] = said.acquisition or name
    return RasterFacts(**known, **grid._asdict())


def _calibration(uri: str, image: DatasetReader, index: int, baseline: str | None) -> Calibration:
    """Return how a band's values become reflectance; SceneError when the file does not say."""
    dtype, scale, offset = image.dtypes[index - 1], image.scales[index - 1], image.offsets[index - 1]
    if dtype not in DTYPES:
        raise SceneError(
            f"{shown(uri)}: band {index} is {dtype}; a stack is {', '.join(DTYPES)}. Convert it, for example "
            f"with `rio convert {quoted(uri)} stack.tif --dtype float32`; state names and scale again."
        )
    tags = image.tags() | image.tags(index)
    said = read_scale(tags)
    if said is not None:
        return _possible(said, uri, index)
    stated = (scale, offset) != (1, 0)
    if not is_dn(dtype) or (stated and scale != 1):
        if not scale > 0:
            raise SceneError(
                f"{shown(uri)}: the scale of band {index} is {scale:g}; it must be above 0. {stating(uri)}"
            )
        return _possible(Calibration.of_scale(scale, offset), uri, index)
    found = read_calibration(tags, baseline)
    if found is None or stated:
        raise SceneError(_undecided(uri, image.descriptions[index - 1] or str(index)))
    return _possible(found, uri, index)


def _possible(found: Calibration, uri: str, index: int) -> Calibration:
    if not found.is_possible():
        raise SceneError(
            f"{shown(uri)}: band {index} would have {found.quantification:g} steps per unit of reflectance "
            f"and an offset of {found.offset:g} steps, which no product has. {stating(uri)}"
        )
    return found


def _undecided(uri: str, band: str) -> str:
    return (
        f"{shown(uri)} holds DN and does not say how they become reflectance: looked for scale and offset of "
        f"band {band}, and for the tags QUANTIFICATION_VALUE and RADIO_ADD_OFFSET. {stating(uri)}"
    )
