"""Reflectance that cannot be: single pixels of it count as saturated or as no-data, many refuse the scene.

Most such pixels come of DN that are taken for reflectance, of a scale or offset that is not that of the
pixels, and of offsets that were subtracted from u16 below zero, which gives some 65,000.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labeling.errors import SceneError
from labeling.files.uri import LISTS, quoted, suffix
from labeling.scenes.contract.product import Reflectance
from labeling.scenes.contract.scene import SceneInfo

HIGHEST: Final = 2.0
"""Reflectance. Fresh snow has about 1; slopes that face a low sun come near 2, on few pixels of a scene."""

LOWEST: Final = -0.2
"""Reflectance. Noise over dark water, and what correction of the air takes too much, stays above -0.1."""

UNSEEN: Final = 6.0
"""Reflectance from which on it is none: 1 / cos(80 degrees), a white slope that faces the lowest sun."""

MOST: Final = 0.01
"""Share of a scene's valid pixels that may lie beyond HIGHEST or LOWEST."""


def stating(uri: str) -> str:
    """Return how to state what the DN of a raster mean, in commands to copy; both ways there are."""
    with_offset, without = (
        f"`for tag in REFLECTANCE_SCALE=0.0001 REFLECTANCE_OFFSET={offset}; do rio edit-info --tag $tag "
        f"{quoted(uri)}; done`"
        for offset in ("-0.1", "0")
    )
    return (
        "Say which it is. With the offset of -1000, as in products since baseline 04.00 (2022, and older "
        f"ones processed again): {with_offset}. Without, as in older products and where somebody has "
        f"subtracted it: {without}."
    )


class Sorted(NamedTuple):
    """Pixels of a block by whether they can be, bool (height, width) each."""

    valid: NDArray[np.bool_]
    """What the product says, less what no sun makes so bright, or no air so dark."""
    beyond: NDArray[np.bool_]
    """Pixels of which any band lies beyond HIGHEST or LOWEST."""


def sort_out(found: Reflectance) -> Sorted:
    """Tell which pixels of a block have a reflectance that can be; saturated ones are bright by right."""
    looked = found.valid & ~found.saturated
    highest, lowest = found.values.max(axis=0), found.values.min(axis=0)  # NaN only where not valid
    with np.errstate(invalid="ignore"):
        beyond = looked & ((highest > HIGHEST) | (lowest < LOWEST))
        unseen = looked & ((highest > UNSEEN) | (lowest < LOWEST))
    return Sorted(found.valid & ~unseen, beyond)


def check_reflectance(info: SceneInfo, *, beyond: int, pixels: int) -> None:
    """Raise SceneError when too many of the `pixels` with data lie `beyond` what reflectance can be."""
    if beyond <= MOST * pixels:
        return
    raise SceneError(
        f"{info.where} looks like DN that are taken for reflectance: {beyond / pixels:.1%} of its pixels "
        f"would lie above {HIGHEST:g} or below {LOWEST:g}, which no ground does. {_way_out(info.uri)}"
    )


def _way_out(uri: str) -> str:
    if suffix(uri) in LISTS:
        return (
            'State what is true in each band\'s asset: "raster:bands": [{"scale": 0.0001, "offset": -0.1}], '
            "or fetch the item again."
        )
    if suffix(uri) not in (".tif", ".tiff"):
        return "Fetch the product again."
    return (
        f"{stating(uri)} Where an offset was subtracted from unsigned DN, dark ones have become some 65,000: "
        "make the file anew from the product."
    )
