"""What a product's processor makes of what the sensor saw: noise it gets, surface reflectance, classes.

It errs as real ones do. It knows its molecules and nearly its gases, but guesses the aerosol (over ice there
is no dark vegetation to see it by), leaves a few percent of smooth error, and takes cloud for ground. Size of
the errors: Doxani et al. 2018 (Remote Sens. 10, ACIX) and the uncertainty that ESA's data quality reports
state, 0.005 plus 5 % of the reflectance.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from labeling.bands import BLUE, Band
from labeling.classes import IGNORE, IceClass
from labeling.scenes.contract.product import GRID
from labeling.simulation.light import Conditions
from labeling.simulation.noise import Field, fractal
from labeling.simulation.safe.writer import mean_of_blocks
from labeling.simulation.scene import SimulatedScene

_SIGNAL_TO_NOISE: Final = (129, 154, 168, 142, 117, 89, 105, 174, 72, 114, 50, 100, 100)
"""That the instrument was specified to have at a middling brightness, in the order of `Band` (Sentinel-2 User
Handbook 2015); the real one does better."""

_MIDDLING: Final = 0.3
"""Reflectance of about that brightness under a sun of 60 degrees."""

_AEROSOL_ERROR, _LEAST_AEROSOL = 0.03, 0.01
"""Standard deviation of the guessed aerosol's optical depth, and the least that is guessed."""

_SMOOTH_ERROR, _DARK_ERROR = 0.015, 0.003
"""Standard deviations of the error that is left: a share of the reflectance, and in blue over the darkest."""

_ERROR_SCALE: Final = 200.0
"""60 m pixels over which that error changes."""

OPAQUE_FROM, CIRRUS_FROM = 0.8, 0.15
"""Optical depths from which a pixel is called opaque cloud, and cirrus."""

_SHADOW_FROM: Final = 0.4

_NO_DATA, _SHADOW, _WATER, _CLOUD, _CIRRUS, _ICE = 0, 3, 6, 9, 10, 11
"""Codes of scene classification (Sen2Cor's SCL)."""


def noisy(rng: np.random.Generator, reflectance: Field, band: Band) -> Field:
    """Return a band at its native resolution with the sensor's noise, f32 of the same shape; NaN stays."""
    noise = rng.standard_normal(reflectance.shape, dtype=np.float32)
    # Photons arrive at random: noise grows with the root of the light. In place, for a granule is large.
    noise *= np.sqrt(np.maximum(reflectance, np.float32(1e-4)))
    noise *= np.float32(_MIDDLING**0.5 / _SIGNAL_TO_NOISE[list(Band).index(band)])
    noise += reflectance
    return noise


def guess(rng: np.random.Generator, at: Conditions) -> Conditions:
    """Return the conditions that a processor takes to hold."""
    aerosol = max(_LEAST_AEROSOL, at.air.aerosol + _AEROSOL_ERROR * float(rng.standard_normal()))
    gases = rng.normal(1, 0.05, 2)
    return at._replace(
        air=at.air._replace(
            aerosol=aerosol, ozone=at.air.ozone * float(gases[0]), vapour=at.air.vapour * float(gases[1])
        )
    )


def error_field(rng: np.random.Generator, *, height: int, width: int) -> Field:
    """Return what errors follow, f32 (height, width) at 60 m, of mean 0 and standard deviation 1 far
    around."""
    return fractal(rng, height=height, width=width, slope=2.0, longest=_ERROR_SCALE)


def surface_from_top(top: Field, band: Band, guessed: Conditions, error: Field) -> Field:
    """Return surface reflectance of a band at its native resolution, f32; NaN stays.

    `top` is top-of-atmosphere reflectance and `error` an `error_field`. Dark pixels can become negative.
    """
    _, gas, air = guessed.through(band)
    light = (top / np.float32(gas) - np.float32(air.path)) / np.float32(air.down * air.up)
    height, width = top.shape
    smooth = np.asarray(cv2.resize(error, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    # What is left of the air's light is the less, the less there was of it.
    dark = np.float32(_DARK_ERROR * air.path / guessed.through(BLUE).passage.path)
    ground = light / (1 + np.float32(air.sphere) * light)
    return np.asarray(ground * (1 + np.float32(_SMOOTH_ERROR) * smooth) - dark * smooth)


def quality_classes(scene: SimulatedScene) -> NDArray[np.uint8]:
    """Return opaque cloud, cirrus and snow, u8 0 or 1, (3, height / 6, width / 6): 60 m pixels.

    That is what a processor without fault would say; those of real products are worse over ice.
    """
    factor = Band.B01.resolution // GRID
    cloud, thick = (
        mean_of_blocks(scene.cloud, factor),
        mean_of_blocks(scene.truth == IceClass.THICK_ICE, factor),
    )
    opaque = cloud >= OPAQUE_FROM
    cirrus = (cloud >= CIRRUS_FROM) & ~opaque
    return np.stack([opaque, cirrus, (thick > 0.5) & ~opaque]).astype(np.uint8)


def scene_classes(scene: SimulatedScene) -> NDArray[np.uint8]:
    """Return the scene classification of an L2A product, u8 (height / 2, width / 2): 20 m pixels.

    As for `quality_classes`, a processor without fault: real ones take leads for shadow, and ice for cloud.
    """
    cloud, shadow = mean_of_blocks(scene.cloud, 2), mean_of_blocks(scene.shadow, 2)
    codes = np.where(mean_of_blocks(scene.truth == IceClass.WATER, 2) > 0.5, _WATER, _ICE)
    codes[shadow >= _SHADOW_FROM] = _SHADOW
    codes[cloud >= CIRRUS_FROM] = _CIRRUS
    codes[cloud >= OPAQUE_FROM] = _CLOUD
    codes[mean_of_blocks(scene.truth == IGNORE, 2) > 0] = _NO_DATA
    return codes.astype(np.uint8)
