"""The air over a simulated scene: molecules, aerosol, ozone and water vapour, in Sentinel-2's bands.

What the air of a scene holds is drawn from what polar air holds. Two layers scatter: molecules above,
molecules and aerosol in the lowest two kilometres. Ozone lies above both and vapour takes its part of the
whole, so gases are a factor.
"""

from __future__ import annotations

from functools import lru_cache
from math import cos, exp, radians
from typing import Final, NamedTuple

import numpy as np

from labeling.bands import Band
from labeling.simulation.safe.spec import Direction
from labeling.simulation.scattering import (
    Layer,
    Passage,
    henyey_greenstein,
    mixed,
    rayleigh_phase,
    solve,
)

_WAVELENGTH: Final = (
    0.4427, 0.4924, 0.5598, 0.6646, 0.7041, 0.7405, 0.7828, 0.8328, 0.8647, 0.9451, 1.3735, 1.6137, 2.2024,
)  # fmt: skip
"""Centres of the bands, micrometres: Sentinel-2A's spectral response functions."""

_OZONE: Final = (0.003, 0.021, 0.104, 0.050, 0.021, 0.011, 0.008, 0.002, 0.002, 0, 0, 0, 0)
"""Optical depth of 1000 Dobson units: the Chappuis bands, cross-sections of Serdyuchenko et al. 2014 (Atmos.
Meas. Tech. 7) over the bands."""

_VAPOUR: Final = (0, 0, 0.001, 0.003, 0.010, 0.010, 0.001, 0.015, 0.001, 0.55, 5.0, 0.003, 0.012)
"""Depth of 1 cm of water vapour, seen vertically; it grows with the root of the amount, because the lines are
saturated. Rounded so that B09 and B10 are what real L1C pixels show; the others are minor."""

_MIXED_GASES: Final = (0, 0, 0, 0.001, 0, 0, 0.002, 0, 0, 0, 0, 0.007, 0.013)
"""Depth of oxygen, carbon dioxide and methane, seen vertically."""

_DEPOLARISATION: Final = 0.0279
"""Of air: Young 1980 (Appl. Opt. 19)."""

_LOW_SHARE: Final = 0.22
"""Of the molecules, in the lowest two kilometres, where the aerosol is."""

_STANDARD_PRESSURE: Final = 1013.25


class Air(NamedTuple):
    """What the air of a scene holds."""

    pressure: float = _STANDARD_PRESSURE
    """At the surface, hPa."""
    aerosol: float = 0.0
    """Optical depth at 550 nm."""
    angstrom: float = 1.2
    """How the aerosol's depth falls with the wavelength: its exponent."""
    asymmetry: float = 0.65
    """Mean cosine of the aerosol's scattering."""
    aerosol_albedo: float = 0.97
    """Share of the aerosol's extinction that is scattering."""
    ozone: float = 0.0
    """Dobson units."""
    vapour: float = 0.0
    """Centimetres of water."""


def draw_air(rng: np.random.Generator) -> Air:
    """Return some day's air over polar seas.

    Aerosol: Tomasi et al. 2007 (J. Geophys. Res. 112, background of coastal stations to Arctic haze). Ozone:
    the spring hole to the Arctic's spring. Pressure: the deep lows and the highs of the Southern Ocean.
    """
    return Air(
        pressure=float(rng.uniform(970, 1015)),
        aerosol=float(rng.uniform(0.03, 0.12)),
        angstrom=float(rng.uniform(0.7, 1.6)),
        asymmetry=float(rng.uniform(0.60, 0.70)),
        aerosol_albedo=float(rng.uniform(0.94, 0.99)),
        ozone=float(rng.uniform(180, 420)),
        vapour=float(rng.uniform(0.15, 0.8)),
    )


class Seen(NamedTuple):
    """What air does to what is seen in a band."""

    ozone: float
    """Transmittance of ozone down and up, which lies above all that is seen."""
    gas: float
    """Transmittance of all gases that absorb, down and up."""
    passage: Passage
    """What scattering does."""


@lru_cache(maxsize=1024)
def through_air(air: Air, band: Band, sun: Direction, view: Direction) -> Seen:
    """Return what air does to a band's light under a sun and to a sensor; sun's zenith up to 85 degrees."""
    mu_sun, mu_view = (cos(radians(direction.zenith)) for direction in (sun, view))
    azimuth = radians(view.azimuth - sun.azimuth)
    passage = solve(_layers(air, band), sun=mu_sun, view=mu_view, azimuth=azimuth)
    mass = 1 / mu_sun + 1 / mu_view
    ozone = exp(-_OZONE[_index(band)] * air.ozone / 1000 * mass)
    return Seen(ozone, ozone * _low_gases(air, band, mass), passage)


def rayleigh_depth(band: Band) -> float:
    """Return the optical depth of the air's molecules at sea level (Bodhaine et al. 1999, equation 30)."""
    square = _WAVELENGTH[_index(band)] ** 2
    above = 1.0455996 - 341.29061 / square - 0.90230850 * square
    return 0.0021520 * above / (1 + 0.0027059889 / square - 85.968563 * square)


def _layers(air: Air, band: Band) -> list[Layer]:
    molecules = rayleigh_depth(band) * air.pressure / _STANDARD_PRESSURE
    phase = rayleigh_phase(_DEPOLARISATION)
    low = Layer(molecules * _LOW_SHARE, 1, phase)
    if air.aerosol:
        depth = air.aerosol * (_WAVELENGTH[_index(band)] / 0.55) ** -air.angstrom
        low = mixed([low, Layer(depth, air.aerosol_albedo, henyey_greenstein(air.asymmetry))])
    return [Layer(molecules * (1 - _LOW_SHARE), 1, phase), low]


def _low_gases(air: Air, band: Band, mass: float) -> float:
    """Return the transmittance of gases other than ozone along a way of `mass` vertical atmospheres."""
    index = _index(band)
    return exp(-_MIXED_GASES[index] * mass - _VAPOUR[index] * (air.vapour * mass) ** 0.5)


def _index(band: Band) -> int:
    return list(Band).index(band)
