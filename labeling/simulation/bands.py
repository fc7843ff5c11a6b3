"""The 13 bands of Sentinel-2 for a simulated scene: what else its surface and sky would look like.

The visible bands are the picture itself on the scale of an L1C true-colour image, so they render back to it.
The others follow from what the picture shows: the light that comes from below the cloud, in the colour of
the surface's class, and the light of the cloud in the colour of cloud.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from labeling.bands import BLUE, GREEN, RED, Band
from labeling.classes import IGNORE, IceClass
from labeling.ice.thresholds import brightness
from labeling.scenes.contract.product import GRID
from labeling.scenes.contract.rendering import find_rendering
from labeling.simulation.noise import Field
from labeling.simulation.scene import SimulatedScene
from labeling.simulation.sky import BACKSCATTER, CLOUD_VALUE

RENDERING: Final = "tci-l1c"
"""The rendering that gives the simulated picture back."""

_TOP: Final = np.float32(find_rendering(RENDERING).top)
_PICTURE_BANDS: Final = (RED, GREEN, BLUE)

# Each band's reflectance over that of the visible, in the order of `Band`; the entries of red, green and blue
# are not used: those bands are the picture's. Typical values, rounded:
# - Water is black beyond the visible; what is left there is sky light, the less the longer the wave.
# - Thin ice, bare and wet, dims from 700 nm on, snow-covered ice from 900 nm on, and both are dark in the
#   short-wave infrared: spectral albedos in Brandt et al. 2005 (J. Climate 18, Antarctic sea ice), Grenfell
#   and Perovich 1984 (J. Geophys. Res. 89), Wiscombe and Warren 1980 (J. Atmos. Sci. 37, fine-grained snow).
# - Cloud is as bright at 1.6 um as in the visible, within a quarter, and somewhat less at 2.2 um: measured on
#   clouds in real L1C pixels, over land; clouds of ice are darker there than those of water.
# - Water vapour takes about half of B09, and all of B10 but what comes from cloud above the vapour.
_WATER: Final = (1.30, 1.0, 1.0, 1.0, 0.80, 0.65, 0.60, 0.50, 0.45, 0.20, 0.02, 0.15, 0.10)
_THIN_ICE: Final = (1.05, 1.0, 1.0, 1.0, 0.90, 0.80, 0.74, 0.68, 0.64, 0.30, 0.005, 0.12, 0.08)
_THICK_ICE: Final = (1.02, 1.0, 1.0, 1.0, 0.99, 0.97, 0.96, 0.94, 0.92, 0.48, 0.005, 0.14, 0.10)
_CLOUD: Final = (1.02, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.60, 0.25, 0.80, 0.65)

_SURFACES: Final = np.full((256, len(Band)), np.nan, np.float32)
"""By class code; NaN where there is no surface."""
_SURFACES[[IceClass.WATER, IceClass.THIN_ICE, IceClass.THICK_ICE]] = (_WATER, _THIN_ICE, _THICK_ICE)

_INFRARED_SHADOW: Final = 0.3
"""What the deepest shadow takes more from the infrared than from the visible: sky light is blue."""

OPAQUE_FROM, CIRRUS_FROM = 0.8, 0.15
"""Optical depths from which a 60 m pixel is called opaque cloud, and cirrus."""


def band_reflectance(scene: SimulatedScene, band: Band) -> Field:
    """Return a band's top-of-atmosphere reflectance at 10 m, f32 (height, width); NaN for no-data.

    Red, green and blue are picture / 255 * 0.3558, so that `rendering.render` in "tci-l1c" gives the
    picture back exactly, also from DN, whose steps are a fourteenth of a level. A level of 255 becomes
    0.3558, though it stands for anything brighter. Every pixel depends on itself alone: parts of a scene
    give parts of the result.
    """
    if band in _PICTURE_BANDS:
        values = scene.rgb[_PICTURE_BANDS.index(band)] * (_TOP / np.float32(255))
    else:
        values = _beyond_the_picture(scene, list(Band).index(band))
    return np.where(scene.truth == IGNORE, np.float32(np.nan), values)


def reflectance(scene: SimulatedScene) -> Field:
    """Return all bands at 10 m, f32 (13, height, width) in the order of `Band`; see `band_reflectance`."""
    return np.stack([band_reflectance(scene, band) for band in Band])


def quality_classes(scene: SimulatedScene) -> NDArray[np.uint8]:
    """Return opaque cloud, cirrus and snow, u8 0 or 1, (3, height / 6, width / 6): 60 m pixels.

    That is what a processor without fault would say; those of real products are worse over ice.
    """
    cloud, thick = _coarse(scene.cloud), _coarse((scene.truth == IceClass.THICK_ICE).astype(np.float32))
    opaque = cloud >= OPAQUE_FROM
    cirrus = (cloud >= CIRRUS_FROM) & ~opaque
    return np.stack([opaque, cirrus, (thick > 0.5) & ~opaque]).astype(np.uint8)


def _beyond_the_picture(scene: SimulatedScene, index: int) -> Field:
    """Return the reflectance of the band at an index of `Band`, f32 (height, width)."""
    level = _TOP / np.float32(255)
    veil = np.float32(CLOUD_VALUE) * level * (1 - np.exp(np.float32(-BACKSCATTER) * scene.cloud))
    # Noise and the sensor's blur can leave less light than the veil alone.
    below = np.maximum(brightness(scene.rgb) * level - veil, 0) * _SURFACES[scene.truth, index]
    if index > list(Band).index(RED):
        below *= 1 - np.float32(_INFRARED_SHADOW) * scene.shadow
    return np.asarray(below + np.float32(_CLOUD[index]) * veil, np.float32)


def _coarse(layer: Field) -> Field:
    """Average (height, width) over 60 m pixels."""
    height, width = (side * GRID // Band.B01.resolution for side in layer.shape)
    return np.asarray(cv2.resize(layer, (width, height), interpolation=cv2.INTER_AREA))
