"""Writes Sentinel-2 products in SAFE format, from a few pixels to a whole granule, one band at a time.

    write_product(folder, spec, bands) -> folder/<name>.SAFE

What a product is called and what its XML says is in spec.py and xml.py, quality masks
are in masks.py. It holds what readers of pixels need: no manifest, no data strip, no previews.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.transform import from_origin

from labeling.bands import BLUE, GREEN, NODATA_DN, RED, SATURATED_DN, Band, to_reflectance
from labeling.files.atomic import replacing
from labeling.scenes.contract.product import GRID
from labeling.scenes.contract.rendering import find_rendering, render, renderings_of
from labeling.simulation.safe.masks import (
    CLASSES,
    cloud_features,
    detector_features,
    detector_numbers,
    mask_gml,
)
from labeling.simulation.safe.spec import QUANTIFICATION, ProductSpec
from labeling.simulation.safe.xml import granule_xml, product_xml

_JP2_BLOCKS: Final = {10: 1024, 20: 640, 60: 192}
"""Side, in pixels, of the blocks of real products' images by their resolution in metres."""

_DARKEST_DN, _BRIGHTEST_DN = 1, 65534
"""DN of observations: 0 and 65535 have meanings of their own."""


def write_product(
    folder: Path,
    spec: ProductSpec,
    bands: Iterable[tuple[Band, NDArray[np.uint16]]],
    classes: NDArray[np.uint8] | None = None,
    scene_classes: NDArray[np.uint8] | None = None,
) -> Path:
    """Write a product and return its `.SAFE` folder, which appears whole or not at all.

    `bands` yields each band with its DN at native resolution, (height, width); they are written as they come
    and not kept, so a generator needs memory for one band. The true-colour image is written when red, green
    and blue are among them. `classes`, u8 (3, height, width) at 60 m, is 1 where there is opaque cloud,
    cirrus or snow (`masks.CLASSES`); without, there is no such mask. `scene_classes`, u8 (height, width) at
    20 m, is the scene classification of L2A. ValueError for no bands, or bands that do not cover the same
    ground.
    """
    target = product_path(folder, spec)
    with replacing(target) as root:
        images: list[str] = []
        covered: set[tuple[int, ...]] = set()
        colours: dict[Band, NDArray[np.uint8]] = {}
        for band, dn in bands:
            images.append(spec.image(band, band.resolution))
            write_jp2(root / images[-1], dn, spec, metres=band.resolution)
            _write_detectors(root, band, dn, spec)
            covered.add(tuple(side * band.resolution // GRID for side in dn.shape))
            if band in (RED, GREEN, BLUE):
                colours[band] = _shown(dn, spec)
        if len(covered) != 1:
            raise ValueError(f"the bands cover {len(covered)} different grounds, and a product has one")
        [(height, width)] = covered
        if len(colours) == 3:
            _write_true_colour(root, colours, spec)
        if classes is not None:
            _write_classes(root, classes, spec)
        if scene_classes is not None:
            write_jp2(root / spec.image("SCL", 20), scene_classes, spec, metres=20)
        _write_text(root / spec.granule_xml, granule_xml(spec, height=height, width=width))
        _write_text(root / spec.product_xml, product_xml(spec, images))
    return target


def product_path(folder: Path, spec: ProductSpec) -> Path:
    """Return where `write_product` writes a product."""
    return folder / f"{spec.name}.SAFE"


def native_dn(reflectance: NDArray[Any], band: Band, offset: int) -> NDArray[np.uint16]:
    """Return a band's DN at its native resolution from reflectance (height, width) at 10 m.

    A coarse pixel is the mean of those it covers. NaN is no-data: DN 0, also for a coarse pixel that holds
    any. Sides are multiples of 6. See `bands.to_reflectance` for the way back.
    """
    return to_dn(mean_of_blocks(reflectance, band.resolution // GRID), offset)


def to_dn(reflectance: NDArray[Any], offset: int) -> NDArray[np.uint16]:
    """Return the DN of reflectance, of the same shape; NaN is no-data, DN 0."""
    # Processors clip there too: 0 is kept for no-data.
    dn = np.clip(np.rint(reflectance * QUANTIFICATION) - offset, _DARKEST_DN, _BRIGHTEST_DN)
    return np.where(np.isnan(dn), NODATA_DN, dn).astype(np.uint16)


def mean_of_blocks(values: NDArray[Any], factor: int) -> NDArray[np.float64]:
    """Average (…, height, width) over squares of `factor`, f64; NaN where a square holds any."""
    *layers, height, width = values.shape
    squares = values.reshape(*layers, height // factor, factor, width // factor, factor)
    return np.asarray(squares.mean(axis=(-3, -1), dtype=np.float64))


def write_jp2(path: Path, values: NDArray[Any], spec: ProductSpec, *, metres: int) -> None:
    """Write (height, width) or (layers, height, width) as JPEG 2000 without loss, on the product's grid."""
    values = values if values.ndim == 3 else values[np.newaxis]
    count, height, width = values.shape
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {
        "driver": "JP2OpenJPEG", "dtype": values.dtype, "count": count, "height": height, "width": width,
        "crs": spec.crs, "transform": from_origin(spec.left, spec.top, metres, metres),
        "REVERSIBLE": "YES", "QUALITY": "100", "YCBCR420": "NO",
        "blockxsize": _JP2_BLOCKS[metres], "blockysize": _JP2_BLOCKS[metres],
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(values)


def _shown(dn: NDArray[np.uint16], spec: ProductSpec) -> NDArray[np.uint8]:
    """Return a band as the true-colour image shows it, u8 (height, width); 0 for no-data."""
    every = np.arange(SATURATED_DN + 1, dtype=np.uint16)
    reflectance = to_reflectance(every, spec.offset, QUANTIFICATION)
    rendering = find_rendering(renderings_of(spec.product_type)[0])
    # A table of all DN, because a whole granule in reflectance is large.
    return render(reflectance, every != NODATA_DN, rendering)[dn]


def _write_true_colour(root: Path, colours: dict[Band, NDArray[np.uint8]], spec: ProductSpec) -> None:
    rgb = np.stack([colours[band] for band in (RED, GREEN, BLUE)])
    rgb[:, (rgb == 0).any(axis=0)] = 0
    write_jp2(root / spec.image("TCI", GRID), rgb, spec, metres=GRID)


def _write_detectors(root: Path, band: Band, dn: NDArray[np.uint16], spec: ProductSpec) -> None:
    path = root / spec.mask("DETFOO", band)
    if spec.masks_are_rasters:
        write_jp2(path, detector_numbers(dn, band), spec, metres=band.resolution)
    else:
        features = list(detector_features(dn, band, spec))
        _write_text(path, mask_gml(spec, "DETFOO", band, features))


def _write_classes(root: Path, classes: NDArray[np.uint8], spec: ProductSpec) -> None:
    if len(classes) != len(CLASSES):
        raise ValueError(f"quality classes have {len(classes)} layers, not {', '.join(CLASSES)}")
    if spec.masks_are_rasters:
        write_jp2(root / spec.mask("CLASSI", "B00"), classes, spec, metres=Band.B01.resolution)
    else:
        features = list(cloud_features(classes, spec))
        _write_text(root / spec.mask("CLOUDS", "B00"), mask_gml(spec, "CLOUDS", "B00", features))


def _write_text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
