"""Renderings: how reflectance becomes the 8-bit picture that thresholds are made for.

Brightness means another reflectance in each rendering, so a rendering is named, kept with every profile and
model, and never mixed with another.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labeling.errors import ConfigError

RGB8: Final = "rgb8"
"""Rendering of a picture that is 8-bit RGB already: its values are taken as they are."""


class Rendering(NamedTuple):
    """A linear scale from reflectance to 1..255; 0 is kept for no-data, as in Sentinel-2's own pictures."""

    name: str
    top: float
    """Reflectance (0..1) drawn as 255."""
    products: frozenset[str]
    """Product types it is meant for."""


_ANY: Final = frozenset({"L1C", "L2A"})

RENDERINGS: Final = {
    rendering.name: rendering
    for rendering in (
        # The scales of the true-colour images that ESA puts into its products.
        Rendering("tci-l1c", 0.3558, frozenset({"L1C"})),
        Rendering("tci-l2a", 0.2, frozenset({"L2A"})),
        Rendering("linear-1.0", 1.0, _ANY),
        Rendering("linear-0.3", 0.3, _ANY),
    )
}
"""Every rendering of reflectance by its name."""


def renderings_of(product_type: str) -> list[str]:
    """Return the names of the renderings a product type can have, its own true-colour scale first."""
    return [name for name, rendering in RENDERINGS.items() if product_type in rendering.products]


def find_rendering(name: str) -> Rendering:
    """Return a rendering of reflectance by its name; ConfigError names the known ones."""
    if name not in RENDERINGS:
        raise ConfigError(f"no rendering '{name}' of reflectance: choose one of {', '.join(RENDERINGS)}")
    return RENDERINGS[name]


def render(
    reflectance: NDArray[np.float32], valid: NDArray[np.bool_], rendering: Rendering
) -> NDArray[np.uint8]:
    """Return reflectance (3, height, width) as a picture u8 (3, height, width).

    Valid pixels become round(255 * reflectance / top) within 1..255, so that dark water is never taken for
    no-data; pixels that `valid` (height, width) excludes become 0, whatever their reflectance (NaN too).
    """
    scaled = np.rint(reflectance * np.float32(255 / rendering.top))
    return np.where(valid, np.clip(scaled, 1, 255), 0).astype(np.uint8)
