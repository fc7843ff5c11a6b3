"""Renderings: how reflectance becomes the 8-bit picture that thresholds are made for.

Brightness means another reflectance in each rendering, so a rendering is named, kept with every profile and
model, and never mixed with another.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import cos, radians
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labeling.bands import BLUE, GREEN, RED
from labeling.errors import ConfigError
from labeling.scenes.contract.rayleigh import DOUBTFUL_ZENITH, OZONE, UNITS, Angles, rayleigh_corrected

_COLOURS: Final = (RED, GREEN, BLUE)

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


class Light(NamedTuple):
    """How a scene was lit and seen, as far as it says."""

    sun_zenith: float | None = None
    """Degrees, mean over the granule."""
    angles: Sequence[Angles] | None = None
    """Of red, green and blue."""
    unit: str | None = None
    """The satellite: A, B or C."""


UNTOLD: Final = Light()
"""Of a scene that says nothing of it."""


class Rendering(NamedTuple):
    """A linear scale from reflectance to 1..255; 0 is kept for no-data, as in Sentinel-2's own pictures."""

    name: str
    top: float
    """Reflectance (0..1) drawn as 255."""
    products: frozenset[str]
    """Product types it is meant for; "" stands for a product that does not say."""
    ozone: float | None = None
    """Dobson units with which air is taken out first (rayleigh.py); None for reflectance as delivered."""
    sun: Sun | None = None


_ANY: Final = frozenset({"L1C", "L2A", ""})

RENDERINGS: Final = {
    rendering.name: rendering
    for rendering in (
        # The scales of the true-colour images that ESA puts into its products.
        Rendering("tci-l1c", 0.3558, frozenset({"L1C"})),
        Rendering("tci-l2a", 0.2, frozenset({"L2A"})),
        # What clear air adds and takes is taken out first. Snow gets to 1.04 over the Ross Sea, and higher on
        # slopes that face a low sun; above 1.3 lies less than 1 % of it, and the filter needs its texture.
        Rendering("rayleigh-v1-1.3", 1.3, frozenset({"L1C"}), ozone=OZONE),
        # The same scale for what a processor has corrected.
        Rendering("linear-1.3", 1.3, frozenset({"L2A"})),
        Rendering("linear-1.0", 1.0, _ANY),
        Rendering("linear-0.3", 0.3, _ANY),
    )
}
"""Every rendering of reflectance by its name. A name's meaning never changes: a new scale is a new name."""

_NAME = re.compile(
    r"(?P<base>.+?)(-ozone(?P<ozone>\d{2,3}))?(-sun(?P<zenith>\d{1,2})-k(?P<k>[01](\.\d+)?))?",
)


def find_rendering(name: str) -> Rendering:
    """Return the rendering of reflectance of that name, for example "rayleigh-v1-1.3-ozone250".

    What may follow a name of RENDERINGS: `-ozone250`, Dobson units, where the air is taken out, and
    `-sun60-k0.9`, one height of the sun. ConfigError names the known ones, and what is wrong with figures.
    """
    match = _NAME.fullmatch(name)
    base = RENDERINGS.get(match["base"]) if match else None
    if match is None or base is None or (match["ozone"] and base.ozone is None):
        raise ConfigError(
            f"no rendering '{name}' of reflectance: choose one of {', '.join(RENDERINGS)}, with -sun60-k0.9 "
            "(or other figures) at its end to bring reflectance to one height of the sun, or with -ozone250 "
            "behind a rayleigh one for other Dobson units than 300"
        )
    if match["ozone"]:
        base = base._replace(ozone=float(match["ozone"]))
    if match["k"]:
        base = base._replace(sun=Sun(float(match["zenith"]), float(match["k"])))
        if base.sun is not None and base.sun.k > 1:
            raise ConfigError(
                f"rendering '{name}' asks for k = {base.sun.k:g}; Minnaert's exponent lies in 0..1"
            )
    return base._replace(name=name)


def base_of(name: str) -> str:
    """Return a rendering's name without what may follow it; of a picture's the name itself."""
    match = _NAME.fullmatch(name)
    return match["base"] if match and match["base"] in RENDERINGS else name


def renderings_of(product_type: str | None) -> list[str]:
    """Return the names of the renderings a product type can have, its own true-colour scale first."""
    return [name for name, rendering in RENDERINGS.items() if (product_type or "") in rendering.products]


def missing(name: str, light: Light) -> str | None:
    """Return what a scene would have to say to be drawn in a rendering, in words; None where it says all."""
    if name == RGB8 or base_of(name) not in RENDERINGS:
        return None
    rendering = find_rendering(name)
    if rendering.ozone is not None and light.angles is None:
        return "where sun and satellite stood (zenith and azimuth of both)"
    if rendering.sun is not None and light.sun_zenith is None:
        return "how high the sun stood"
    return None


def low_sun(name: str, light: Light) -> str | None:
    """Return why a rendering is doubtful under a scene's sun, a sentence; None where it is not."""
    if name == RGB8 or base_of(name) not in RENDERINGS or find_rendering(name).ozone is None:
        return None
    if light.sun_zenith is None or light.sun_zenith <= DOUBTFUL_ZENITH:
        return None
    return (
        f"the sun stood {light.sun_zenith:.1f} degrees from the zenith, and from {DOUBTFUL_ZENITH:g} on the "
        "air is not flat enough to be taken out well: dark ice can become water, and snow thin ice. Use "
        f"scenes nearer to noon; limits.sun_zenith: {DOUBTFUL_ZENITH:g} refuses such scenes."
    )


def render(
    reflectance: NDArray[np.float32],
    valid: NDArray[np.bool_],
    rendering: Rendering,
    light: Light = UNTOLD,
) -> NDArray[np.uint8]:
    """Return reflectance (3, height, width) as a picture u8 (3, height, width).

    Valid pixels become round(255 * reflectance / top) within 1..255, so that dark water is never taken for
    no-data; pixels that `valid` (height, width) excludes become 0, whatever their reflectance (NaN too).
    ValueError where the rendering needs more of the scene's `light` than it says.
    """
    scale = 255 / rendering.top
    if lacking := missing(rendering.name, light):
        raise ValueError(f"rendering {rendering.name} needs to know {lacking}")
    if rendering.sun is not None and light.sun_zenith is not None:
        scale *= rendering.sun.factor(light.sun_zenith)
    scaled = _surface(reflectance, rendering, light) * np.float32(scale)
    np.rint(scaled, out=scaled)
    return np.where(valid, np.clip(scaled, 1, 255), 0).astype(np.uint8)


def _surface(reflectance: NDArray[np.float32], rendering: Rendering, light: Light) -> NDArray[np.float32]:
    """Return what is drawn: reflectance as it is, or without clear air."""
    if rendering.ozone is None or light.angles is None:
        return reflectance
    # Satellites differ by 0.002 at a sun of 60 degrees; one that is not named is taken for the first.
    unit = light.unit if light.unit in UNITS else "A"
    return rayleigh_corrected(reflectance, _COLOURS, light.angles, unit=unit, ozone=rendering.ozone)
