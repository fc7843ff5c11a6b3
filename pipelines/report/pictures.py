"""Reduced pictures of scenes and class rasters, ready to stand inside a page."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import RasterioError

from labeling.classes import IGNORE
from labeling.errors import SceneError
from labeling.files.layout import CLASSES, LABELS, Run
from labeling.files.raster import open_raster
from labeling.files.storage import AnyPath
from labeling.files.uri import is_url
from labeling.results.preview import paint
from labeling.scenes.open import open_scene
from labeling.scenes.sidecars import truth_path

SIDE: Final = 512
"""Longest side of a picture in the page, pixels."""

_SAME: Final = (226, 228, 232)
_DIFFERENT: Final = (200, 40, 90)


class Picture(NamedTuple):
    """A picture inside the page."""

    title: str
    data: str
    """The picture itself as a data URI."""
    alt: str


def scene_pictures(run: Run, scene_id: str, uri: str, palette: str) -> list[Picture]:
    """Return the scene, its labels, its map and its truth as far as they are there, and where they differ."""
    pictures = []
    rgb = read_rgb(uri)
    if rgb is not None:
        pictures.append(Picture("scene", data_uri(rgb, ".jpg"), f"the picture of {scene_id}"))
    files = {"automatic labels": run.labels(scene_id) / LABELS, "map": run.maps(scene_id) / CLASSES}
    if not is_url(uri):
        files["truth"] = truth_path(Path(uri))
    classes = {title: codes for title, file in files.items() if (codes := read_classes(file)) is not None}
    for title, codes in classes.items():
        alt = f"{title} of {scene_id} in the colours of the legend"
        pictures.append(Picture(title, data_uri(paint(codes, palette), ".png"), alt))
    for reference in ("truth", "automatic labels"):
        if "map" in classes and reference in classes and classes["map"].shape == classes[reference].shape:
            title = f"map differs from {reference}"
            drawn = draw_differences(classes["map"], classes[reference], palette)
            alt = f"where the map of {scene_id} names another class than the {reference}"
            pictures.append(Picture(title, data_uri(drawn, ".png"), alt))
            break
    return pictures


def read_rgb(uri: str) -> NDArray[np.uint8] | None:
    """Return the reduced scene, u8 (height, width, 3); None where it cannot be read."""
    try:
        with open_scene(uri) as scene:
            height, width = reduced_shape(height=scene.info.height, width=scene.info.width)
            return scene.preview(height=height, width=width)
    except (SceneError, OSError):
        return None


def read_classes(file: AnyPath) -> NDArray[np.uint8] | None:
    """Return a reduced class raster, u8 (height, width), by nearest pixels; None where there is none."""
    if not file.is_file():
        return None
    try:
        with open_raster(file) as raster:
            shape = reduced_shape(height=raster.height, width=raster.width)
            return np.asarray(raster.read(1, out_shape=shape, resampling=Resampling.nearest), np.uint8)
    except RasterioError:
        return None


def reduced_shape(*, height: int, width: int) -> tuple[int, int]:
    """Return (rows, columns) of a raster reduced to at most SIDE on its longest side."""
    factor = min(1.0, SIDE / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))


def draw_differences(
    classes: NDArray[np.uint8], reference: NDArray[np.uint8], palette: str
) -> NDArray[np.uint8]:
    """Return a picture u8 (height, width, 3) of where two class rasters differ; grey where either ignores."""
    ignored = (classes == IGNORE) | (reference == IGNORE)
    drawn = np.where((classes == reference)[..., np.newaxis], _SAME, _DIFFERENT).astype(np.uint8)
    drawn[ignored] = paint(np.full(1, IGNORE, np.uint8), palette)[0]
    return drawn


def data_uri(rgb: NDArray[np.uint8], suffix: str) -> str:
    """Encode a picture u8 (height, width, 3) as a data URI; `suffix` is ".jpg" or ".png"."""
    options = [cv2.IMWRITE_JPEG_QUALITY, 85] if suffix == ".jpg" else [cv2.IMWRITE_PNG_COMPRESSION, 9]
    _, encoded = cv2.imencode(suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)
    kind = "jpeg" if suffix == ".jpg" else "png"
    return f"data:image/{kind};base64,{b64encode(encoded.tobytes()).decode('ascii')}"
