"""s2cloudless: the probability of cloud in each cell, and the cells it flags.

Source: s2cloudless (Sentinel Hub), and the sizes published for 160 m: probability averaged over a disk of 4
pixels, cloud from 0.4 on, grown by a disk of 2. It is made for L1C, gives no shadows, and takes some bright
snow for cloud (snow_guard.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from labeling.bands import Band

DETECTOR_BANDS: Final = (
    Band.B01, Band.B02, Band.B04, Band.B05, Band.B08, Band.B8A, Band.B09, Band.B10, Band.B11, Band.B12,
)  # fmt: skip
"""The bands that s2cloudless takes, in its own order. B03, B06 and B07 are not among them."""

CHUNK: Final = 1 << 15
"""Cells classified at a time: a few MiB."""


def cloud_probability(reflectance: Mapping[Band, NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the probability of cloud in each cell, float32 0..1; NaN where a band has no value.

    `reflectance` holds the mean top-of-atmosphere reflectance (0..1 and beyond, offset applied) of
    DETECTOR_BANDS, each (rows, columns), NaN where there is none. A cell's probability depends on that cell
    alone. One thread, about 50,000 cells a second; the classifier is loaded once a process.
    """
    bands = [reflectance[band] for band in DETECTOR_BANDS]
    known = np.logical_and.reduce([np.isfinite(band) for band in bands])
    # (cells, bands), the cells that can be classified only.
    spectra = np.stack([band[known] for band in bands], axis=-1).astype(np.float32, copy=False)
    found = np.full(known.shape, np.nan, np.float32)
    chunks = [_classify(spectra[start : start + CHUNK]) for start in range(0, len(spectra), CHUNK)]
    if chunks:
        found[known] = np.concatenate(chunks)
    return found


def disk_radius(metres: float, resolution: int) -> int:
    """Return how many cells of `resolution` metres a disk reaches from its middle: rounded, half up."""
    return int(metres / resolution + 0.5)


def flag_clouds(
    probability: NDArray[np.float32], *, threshold: float, average: int, dilation: int
) -> NDArray[np.bool_]:
    """Return which cells are cloud, bool (rows, columns): average, compare, grow.

    `average` and `dilation` are the radii of s2cloudless's disks in cells, 0 for neither. Where probability
    is NaN a cell is never cloud, counts for nothing in its neighbours' average, and does not stop a cloud
    from growing over it to the other side. Where every cell has a probability, the result is s2cloudless's.
    """
    known = np.isfinite(probability)
    averaged = _average(probability, known, average) if average else probability
    cloudy = np.greater(averaged, np.float32(threshold), where=known, out=np.zeros_like(known))
    if dilation:
        cloudy = cv2.dilate(cloudy.view(np.uint8), _disk(dilation)).view(np.bool_)
    return np.asarray(cloudy & known, np.bool_)


def _average(probability: NDArray[np.float32], known: NDArray[np.bool_], radius: int) -> NDArray[np.float32]:
    """Average over the known cells of a disk; beyond the scene's border its inside is mirrored."""
    disk = _disk(radius)
    kernel = disk / np.sum(disk)
    total, weight = (
        cv2.filter2D(layer, -1, kernel, borderType=cv2.BORDER_REFLECT)
        for layer in (np.where(known, probability, np.float32(0)), known.astype(np.float32))
    )
    return np.divide(total, weight, where=known, out=np.zeros_like(probability))


def _classify(spectra: NDArray[np.float32]) -> NDArray[np.float32]:
    # Spark runs one task per core already.
    maps = _detector().get_cloud_probability_maps(spectra[None, None], num_threads=1)
    return np.asarray(maps[0, 0], np.float32)


@cache
def _detector() -> Any:
    # The import takes seconds, and most runs look for no clouds.
    from s2cloudless.cloud_detector import S2PixelCloudDetector

    return S2PixelCloudDetector(all_bands=False)


@cache
def _disk(radius: int) -> NDArray[np.uint8]:
    from s2cloudless.utils import cv2_disk

    return np.asarray(cv2_disk(radius), np.uint8)
