"""A guard against snow taken for cloud: cells whose spectrum is that of snow or bright ice.

Clouds of water droplets are about as bright at 1.6 um as in the visible; snow is dark there, because ice
absorbs and its grains are large (Dozier 1989, Remote Sens. Environ. 28). Clouds of ice crystals lie between.
So their height has to tell: what shines at 1.4 um (B10) lies above most of the water vapour.

It is on by default, by what `python -m benchmarks.science.clouds` shows: s2cloudless flags fresh snow under
moist air (one simulated spectrum in ten; hardly any under dry air, and no older snow), and the guard takes
all of that back. It costs 0.2 % of simulated thin clouds over snow, of which s2cloudless finds few anyway,
and 0.01 % of real cloud pixels. No real scene of snow in all of the bands was at hand: compare both on your
own scenes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from labeling.bands import Band
from labeling.settings import Settings

GUARD_BANDS: Final = (Band.B03, Band.B10, Band.B11)
"""The bands that tell snow from cloud."""


class SnowGuardSettings(Settings):
    """When a cell is snow, whatever s2cloudless says; all three must hold."""

    ndsi: float = Field(0.4, ge=-1, le=1, description="least snow index, (B03 - B11) / (B03 + B11)")
    green: float = Field(
        0.3, ge=0, le=2, description="least reflectance in B03; water has a high index too, but is dark"
    )
    cirrus: float = Field(0.01, ge=0, le=1, description="most reflectance in B10; beyond it is high cloud")


def is_snow(
    reflectance: Mapping[Band, NDArray[np.float32]], settings: SnowGuardSettings
) -> NDArray[np.bool_]:
    """Return which cells have the spectrum of snow, bool (rows, columns); False where a band has no value.

    `reflectance` holds the mean top-of-atmosphere reflectance of GUARD_BANDS, each (rows, columns).
    """
    green, cirrus, infrared = (reflectance[band] for band in GUARD_BANDS)
    # As a product, because the sum can be 0. Comparisons with NaN are False.
    indexed = green - infrared >= np.float32(settings.ndsi) * (green + infrared)
    return np.asarray(indexed & (green >= settings.green) & (cirrus <= settings.cirrus), np.bool_)
