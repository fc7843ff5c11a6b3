"""Which bands of a picture are red, green and blue: by their names, else by what the file calls its colours.

A picture that has none such, or more than 8 bits, is refused, with what to do about its values.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from labeling.bands import Band
from labeling.errors import SceneError
from labeling.files.uri import quoted
from labeling.scenes.contract.plausible import HIGHEST, stating
from labeling.scenes.contract.product import TRUE_COLOUR
from labeling.scenes.products.stacks.names import band_named

_COLOURS: Final = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
_SAMPLE: Final = 1024
"""Pixels along a side that are looked at, at most, to say what values a refused picture has."""


def rgb_bands(name: str, dataset: DatasetReader) -> list[int]:
    """Return the 1-based bands that are red, green and blue of an 8-bit picture; SceneError without them."""
    colours, named = dataset.colorinterp, [band_named(text or "") for text in dataset.descriptions]
    plain = [index for index, colour in enumerate(colours) if colour != ColorInterp.alpha]
    if all(band in named for band in TRUE_COLOUR):
        found = [named.index(band) + 1 for band in TRUE_COLOUR]
    elif any(named[index] for index in plain):
        raise _other_bands(name, named, dataset)
    elif len(plain) != 3:
        raise _too_few_or_many(name, len(plain), dataset)
    elif all(colour in colours for colour in _COLOURS):
        found = [colours.index(colour) + 1 for colour in _COLOURS]
    else:
        found = [index + 1 for index in plain]
    if any(dtype != "uint8" for dtype in dataset.dtypes):
        problem = f"{name} is {dataset.dtypes[0]}; the thresholds are made for 8-bit pictures."
        raise SceneError(f"{problem} {_by_values(name, dataset)}")
    return found


def _other_bands(name: str, named: list[Band | None], dataset: DatasetReader) -> SceneError:
    said = ", ".join(text or "no name" for text in dataset.descriptions)
    if len({band for band in named if band}) != len([band for band in named if band]):
        return SceneError(
            f"{name} names a band twice: {said}. Name each once, as in `rio edit-info -b 1 --description B04 "
            f"{quoted(name)}`."
        )
    return SceneError(
        f"{name} names its bands {said}: a true-colour picture has B04, B03 and B02 (red, green, blue). Give "
        "a picture of these; where the names are wrong, `rio edit-info -b 1 --description B04 "
        f"{quoted(name)}` mends that of the first."
    )


def _too_few_or_many(name: str, count: int, dataset: DatasetReader) -> SceneError:
    file = quoted(name)
    if dataset.colorinterp[0] == ColorInterp.palette:
        advice = (
            "Its values stand for colours of a palette: save it as RGB in the program that made it (in an "
            "image editor: Mode, RGB)."
        )
    elif count == 1 and dataset.driver == "JP2OpenJPEG":
        advice = (
            "It may be one band of a product: give the product itself (its .SAFE folder or zip), or stack "
            "its bands: `rio stack B04.jp2 B03.jp2 B02.jp2 -f GTiff -o stack.tif`, and name them."
        )
    elif count == 1:
        advice = (
            "A single band has no colour; where red, green and blue are files of their own, put them "
            "together: `rio stack --rgb red.tif green.tif blue.tif -o rgb.tif`."
        )
    elif ColorInterp.cyan in dataset.colorinterp:
        advice = "It is CMYK, made for print. Save it as RGB in the program that made it."
    elif count == 2:
        advice = "A colour is missing, which nothing can make up for. Give a picture of red, green and blue."
    else:
        advice = f"Choose and order them, for example: `rio stack --rgb {file} --bidx 3,2,1 -o rgb.tif`."
    return SceneError(f"{name} has {count} colour band(s); an RGB picture has 3. {advice}")


def _by_values(name: str, dataset: DatasetReader) -> str:
    """Return what to do with a picture of more than 8 bits, which depends on its values."""
    try:
        size = (3, min(_SAMPLE, dataset.height), min(_SAMPLE, dataset.width))
        values = dataset.read([1, 2, 3], out_shape=size).astype(np.float64)
    except RasterioError as error:
        return f"It is damaged, too ({error}). Fetch the file again."
    finite = values[np.isfinite(values)]
    top = finite.max() if finite.size else 0.0
    whole = bool((finite == np.rint(finite)).all())
    file, first = quoted(name), ""
    if whole and finite.min(initial=0) >= 0 and top <= 255:
        return (
            f"Its values are 8-bit all the same, at most {top:g}, so change the type and nothing else: "
            f"`rio convert {file} rgb.tif --dtype uint8`."
        )
    if dataset.driver != "GTiff":
        file, first = "stack.tif", f"rio convert {file} stack.tif; "
    naming = first + "; ".join(
        f"rio edit-info -b {index} --description {band} {file}"
        for index, band in enumerate(TRUE_COLOUR, start=1)
    )
    if top <= HIGHEST:
        return (
            f"Its values look like reflectance, at most {top:.2g}. Name the bands, then it is read as such; "
            f"where they are red, green, blue: `{naming}`."
        )
    return (
        f"Its values, at most {top:g}, look like DN, which scaling to 8 bit would mix up: no-data, offset "
        f"and saturation are lost. Name the bands, where they are red, green, blue: `{naming}`. Then say how "
        f"DN become reflectance. {stating(name if file != 'stack.tif' else file)}"
    )
