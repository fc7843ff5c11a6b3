"""What a sensor above the air would see of a simulated scene in a band: ground, shadow, air, cloud.

The same surface and sky as in the simulated picture, but by the physics of a real product: reflectance of the
ground's kinds (spectra.py), under the air of the day (air.py), with the scene's own sun and view. Left out:
that bright ice lights dark water beside it through the air (adjacency), that snow does not reflect alike in
all directions, and polarisation.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Self
from zlib import crc32

import cv2
import numpy as np

from labeling.bands import Band
from labeling.classes import IGNORE
from labeling.simulation.air import Air, Seen, draw_air, through_air
from labeling.simulation.noise import Field
from labeling.simulation.safe.spec import Direction, ProductSpec
from labeling.simulation.scene import SimulatedScene
from labeling.simulation.sky import BACKSCATTER, BLUR, CLOUD_VALUE
from labeling.simulation.spectra import Snow, draw_snow, surface_reflectance

_CLOUD: Final = (1.02, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.60, 0.25, 0.80, 0.65)
"""Cloud as seen below the ozone, over that of the picture, in the order of `Band`. It is as bright at 1.6 um
as in the visible, within a quarter, and somewhat less at 2.2 um: measured on clouds in real L1C pixels, over
land; clouds of ice are darker there than those of water. Vapour takes less above it than above ground."""

_CLOUD_LEVEL: Final = CLOUD_VALUE / 255
"""Reflectance of a cloud too thick to see through; pictures of the method show reflectance up to 1.0."""

_TAKEN: Final = 0.5
"""Share of the direct sunlight that the deepest shadow takes. What the sky scatters stays: shadow is blue."""

REACH: Final = 6
"""Pixels around a part of a scene that its own result may depend on; more than the sensor's blur needs."""


class Conditions(NamedTuple):
    """Under what a scene is seen."""

    air: Air
    snow: Snow
    sun: Direction
    view: tuple[Direction, ...]
    """In the order of `Band`."""

    @classmethod
    def of(cls, product: ProductSpec) -> Self:
        """Return those of a product: its angles, and the air and snow of its pass, whatever its level."""
        rng = np.random.default_rng(crc32(f"{product.tile} {product.datatake_start:%Y%m%dT%H%M%S}".encode()))
        sun = Direction(product.sun_zenith, product.sun_azimuth)
        return cls(draw_air(rng), draw_snow(rng), sun, product.view)

    def through(self, band: Band) -> Seen:
        """Return what the air does to a band."""
        return through_air(self.air, band, self.sun, self.view[list(Band).index(band)])


def band_reflectance(scene: SimulatedScene, at: Conditions, band: Band) -> Field:
    """Return a band's top-of-atmosphere reflectance at 10 m, f32 (height, width), without noise.

    NaN for no-data. A pixel depends on those within `REACH`, because the sensor blurs.
    """
    ground = surface_reflectance(scene.truth, scene.value, band, at.snow)
    ozone, gas, passage = at.through(band)
    lit = passage.down - np.float32(_TAKEN * passage.direct) * scene.shadow
    below = passage.path + lit * passage.up * ground / (1 - np.float32(passage.sphere) * ground)
    clear = np.exp(np.float32(-BACKSCATTER) * scene.cloud)
    cloud = ozone * _CLOUD_LEVEL * _CLOUD[list(Band).index(band)]
    return _blurred(gas * below * clear + np.float32(cloud) * (1 - clear), scene)


def _blurred(seen: Field, scene: SimulatedScene) -> Field:
    """Blur as the sensor does, over the pixels that hold data; NaN elsewhere."""
    valid = (scene.truth != IGNORE).astype(np.float32)
    total, share = (cv2.GaussianBlur(layer, (0, 0), BLUR) for layer in (seen * valid, valid))
    return np.where(valid > 0, total / np.maximum(share, np.float32(1e-6)), np.float32(np.nan))
