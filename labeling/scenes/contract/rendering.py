"""Renderings: how reflectance becomes the 8-bit picture that thresholds are made for.

Brightness means another reflectance in each rendering, so a rendering is named, kept with every profile and
model, and never mixed with another.
"""

from __future__ import annotations

import re
from math import cos, radians
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labeling.errors import ConfigError

RGB8: Final = "rgb8"
"""Rendering of a picture that is 8-bit RGB already: its values are taken as they are."""


class Sun(NamedTuple):
    """Normalisation to one height of the sun, after Minnaert.

    Sentinel-2's reflectance is divided by the cosine of the sun's zenith angle already, which makes a
    Lambertian surface equally bright at any hour; a second division is a common mistake. What is left
    follows cos(zenith) ** (k - 1): k = 1 changes nothing, k = 0 undoes the division, and snow under a low
    sun is in between.
    """

    zenith: float
    """Degrees of the sun that every scene is brought to."""
    k: float
    """Minnaert's exponent, 0..1."""

    def factor(self, sun_zenith: float) -> float:
        """Return what reflectance under this sun (degrees, below 90) is multiplied with."""
        return float((cos(radians(self.zenith)) / cos(radians(sun_zenith))) ** (self.k - 1))


class Rendering(NamedTuple):
    """A linear scale from reflectance to 1..255; 0 is kept for no-data, as in Sentinel-2's own pictures."""

    name: str
    top: float
    """Reflectance (0..1) drawn as 255."""
    products: frozenset[str]
    """Product types it is meant for; "" stands for a product that does not say."""
    sun: Sun | None = None


_ANY: Final = frozenset({"L1C", "L2A", ""})

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
"""Every rendering of reflectance by its name. A name's meaning never changes: a new scale is a new name."""

_SUN = re.compile(r"(?P<base>.+)-sun(?P<zenith>\d{1,2})-k(?P<k>[01](\.\d+)?)")


def parse_name(name: str) -> tuple[str, Sun | None]:
    """Part a rendering's name, for example "tci-l1c-sun60-k0.9", into "tci-l1c" and its sun.

    The sun is None where the name ends without one: reflectance as delivered. ConfigError for a k above 1.
    """
    match = _SUN.fullmatch(name)
    if match is None:
        return name, None
    sun = Sun(float(match["zenith"]), float(match["k"]))
    if sun.k > 1:
        raise ConfigError(f"rendering '{name}' asks for k = {sun.k:g}; Minnaert's exponent lies in 0..1")
    return match["base"], sun


def renderings_of(product_type: str | None) -> list[str]:
    """Return the names of the renderings a product type can have, its own true-colour scale first."""
    return [name for name, rendering in RENDERINGS.items() if (product_type or "") in rendering.products]


def find_rendering(name: str) -> Rendering:
    """Return a rendering of reflectance by its name; ConfigError names the known ones."""
    base, sun = parse_name(name)
    if base not in RENDERINGS:
        raise ConfigError(
            f"no rendering '{name}' of reflectance: choose one of {', '.join(RENDERINGS)}, with -sun60-k0.9 "
            "(or other figures) at its end to bring reflectance to one height of the sun"
        )
    return RENDERINGS[base]._replace(name=name, sun=sun)


def render(
    reflectance: NDArray[np.float32],
    valid: NDArray[np.bool_],
    rendering: Rendering,
    sun_zenith: float | None = None,
) -> NDArray[np.uint8]:
    """Return reflectance (3, height, width) as a picture u8 (3, height, width).

    Valid pixels become round(255 * reflectance / top) within 1..255, so that dark water is never taken for
    no-data; pixels that `valid` (height, width) excludes become 0, whatever their reflectance (NaN too).
    A rendering with a sun needs the scene's `sun_zenith`, degrees; ValueError without.
    """
    scale = 255 / rendering.top
    if rendering.sun is not None:
        if sun_zenith is None:
            raise ValueError(f"rendering {rendering.name} needs the sun's zenith angle")
        scale *= rendering.sun.factor(sun_zenith)
    scaled = np.rint(reflectance * np.float32(scale))
    return np.where(valid, np.clip(scaled, 1, 255), 0).astype(np.uint8)
