"""Clear air between the surface and Sentinel-2: what it adds, what it takes, and reflectance without it.

    reflectance at the top = ozone * (path + through * surface / (1 - back * surface))

`path` is light that air scatters to the sensor without the surface, `through` what gets down and up again,
and `back` the share of the surface's light that air throws back at it: Vermote and Tanre 1992, Analytical
expressions for radiative properties of planar Rayleigh scattering media, including polarization
contributions, JQSRT 47, 305-314. Only clear air is known here: aerosol, water vapour and the light of
neighbouring pixels stay in the result, so it is called Rayleigh-corrected, and not surface reflectance.

Air lies in flat layers here; beyond DOUBTFUL_ZENITH the Earth's curvature counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, exp, log, radians, sqrt
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labeling.bands import BLUE, GREEN, RED, Band

OZONE: Final = 300.0
"""Dobson units of ozone where nothing else is stated; over the poles there are 150 (ozone hole) to 450."""

DOUBTFUL_ZENITH: Final = 76.0
"""Degrees of the sun from which the result is doubtful; Landsat's processor stops there."""

_CENTRES: Final[dict[str, dict[Band, float]]] = {
    "A": {BLUE: 0.4924, GREEN: 0.5598, RED: 0.6646, Band.B08: 0.8328},
    "B": {BLUE: 0.4921, GREEN: 0.5590, RED: 0.6649, Band.B08: 0.8329},
    "C": {BLUE: 0.4890, GREEN: 0.5606, RED: 0.6665, Band.B08: 0.8346},
}
"""Central wavelengths by satellite, micrometres: ESA's response functions (COPE-GSEG-EOPG-TN-15-0007)."""

UNITS: Final = frozenset(_CENTRES)
"""The satellites that are known."""

_WIDTHS: Final = {BLUE: 0.065, GREEN: 0.035, RED: 0.030, Band.B08: 0.115}
"""Widths of the bands, micrometres, as specified for every satellite (Sentinel-2 User Handbook)."""

_LECKNER: Final = (
    (0.45, 0.003), (0.46, 0.006), (0.47, 0.009), (0.48, 0.014), (0.49, 0.021), (0.50, 0.030), (0.51, 0.040),
    (0.52, 0.048), (0.53, 0.063), (0.54, 0.075), (0.55, 0.085), (0.57, 0.120), (0.593, 0.119), (0.61, 0.120),
    (0.63, 0.090), (0.656, 0.065), (0.6676, 0.051), (0.69, 0.028), (0.71, 0.018), (0.74, 0.010), (0.78, 0.0),
)  # fmt: skip
"""Absorption of ozone by wavelength (micrometres), per atm-cm (1000 Dobson units): Leckner 1978, as tabled by
Bird and Riordan 1986 for SPCTRAL2."""

_OZONE_HEIGHT: Final = 22 / 6370
"""Height of the ozone over the Earth's radius: up there a low sun's light comes in less low."""

_DEPOLARISED: Final = 0.958725775
"""Share of the phase function that varies with the angle: air's depolarisation is 0.0279."""


class Angles(NamedTuple):
    """Where sun and satellite stand over a granule, seen from the ground; degrees."""

    sun_zenith: float
    sun_azimuth: float
    view_zenith: float
    view_azimuth: float


class ClearAir(NamedTuple):
    """What clear air does to one band's light under given angles; each a number, reflectance or share."""

    path: float
    through: float
    back: float
    ozone: float

    def seen(self, surface: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the reflectance at the top of the air over a surface's reflectance, any shape."""
        light = self.path + self.through * surface / (1 - self.back * surface)
        return np.asarray(self.ozone * light, np.float32)

    def corrected(self, top: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the surface's reflectance below a reflectance at the top of the air, f32 of any shape.

        The inverse of `seen`; grows with its argument. NaN stays NaN, and what is darker than the air alone
        becomes negative.
        """
        without = np.multiply(top, np.float32(1 / self.ozone))
        without -= np.float32(self.path)
        below = np.multiply(without, np.float32(self.back))
        below += np.float32(self.through)
        without /= below
        return without


def rayleigh_corrected(
    reflectance: NDArray[np.float32],
    bands: Sequence[Band],
    angles: Sequence[Angles],
    *,
    unit: str = "A",
    ozone: float = OZONE,
) -> NDArray[np.float32]:
    """Return Rayleigh-corrected reflectance, f32 (bands, height, width), of top-of-atmosphere reflectance.

    `reflectance` is f32 (bands, height, width) as L1C products state it, about 0..1.5, NaN for no-data;
    `bands` names its layers (B02, B03, B04 or B08), and `angles` are the means over the granule, one for
    each. `unit` is the satellite, A, B or C, and `ozone` the column in Dobson units. ValueError for other
    bands or units, and for a sun at or below the horizon.
    """
    airs = [clear_air(band, each, unit=unit, ozone=ozone) for band, each in zip(bands, angles, strict=True)]
    return np.stack([air.corrected(layer) for air, layer in zip(airs, reflectance, strict=True)])


def clear_air(band: Band, angles: Angles, *, unit: str = "A", ozone: float = OZONE) -> ClearAir:
    """Return what clear air at sea level does to a band's light; ValueError as `rayleigh_corrected`."""
    if unit not in _CENTRES or band not in _WIDTHS:
        raise ValueError(f"no constants for band {band} of Sentinel-2{unit}")
    if not (0 <= angles.sun_zenith < 90 and 0 <= angles.view_zenith < 90):
        raise ValueError(f"sun and view must be above the horizon, not at zenith angles {angles}")
    depth = rayleigh_depth(band, unit)
    sun, view = cos(radians(angles.sun_zenith)), cos(radians(angles.view_zenith))
    column = ozone_depth(band, unit) * ozone / 1000
    return ClearAir(
        path=path_reflectance(depth, angles),
        through=transmittance(depth, sun) * transmittance(depth, view),
        back=spherical_albedo(depth),
        ozone=exp(-column * (_ozone_mass(sun) + _ozone_mass(view))),
    )


def rayleigh_depth(band: Band, unit: str) -> float:
    """Return the optical depth of clear air at sea level, averaged over a band."""
    return float(bodhaine(_wavelengths(band, unit)).mean())


def ozone_depth(band: Band, unit: str) -> float:
    """Return the optical depth of 1000 Dobson units of ozone, averaged over a band."""
    wavelengths, absorption = zip(*_LECKNER, strict=True)
    return float(np.interp(_wavelengths(band, unit), wavelengths, absorption).mean())


def bodhaine(wavelength: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the optical depth of clear air at sea level by wavelength in micrometres.

    Source: Bodhaine et al. 1999, On Rayleigh optical depth calculations, J. Atmos. Oceanic Technol. 16.
    """
    square = wavelength**2
    above = 1.0455996 - 341.29061 / square - 0.90230850 * square
    below = 1 + 0.0027059889 / square - 85.968563 * square
    return np.asarray(0.0021520 * above / below)


def path_reflectance(depth: float, angles: Angles) -> float:
    """Return the reflectance of air over a black surface: one scattering exactly, the others fitted.

    The light is a series of three cosines of the azimuth. Coefficients are those of Vermote and Tanre 1992,
    fitted to exact solutions with polarisation.
    """
    sun, view = cos(radians(angles.sun_zenith)), cos(radians(angles.view_zenith))
    # 180 degrees from the sun's side is where light goes on; the series counts from there.
    azimuth = radians(180 - (angles.sun_azimuth - angles.view_azimuth))
    sines = (1 - sun**2) * (1 - view**2)
    phases = (
        1 + (3 * sun**2 - 1) * (3 * view**2 - 1) * _DEPOLARISED / 8,
        -sun * view * sqrt(sines) * 0.75 * _DEPOLARISED,
        sines * 0.1875 * _DEPOLARISED,
    )
    once = (1 - exp(-depth * (1 / sun + 1 / view))) / (4 * (sun + view))
    often = (1 - exp(-depth / sun)) * (1 - exp(-depth / view))
    light = [phase * (once + often * fit) for phase, fit in zip(phases, _fits(depth, sun, view), strict=True)]
    return light[0] + 2 * light[1] * cos(azimuth) + 2 * light[2] * cos(2 * azimuth)


def _fits(depth: float, sun: float, view: float) -> tuple[float, float, float]:
    """Return the strength of what is scattered more than once, for each cosine of the azimuth."""
    log_depth = log(depth)
    shapes = (1.0, sun + view, sun * view, sun**2 + view**2, (sun * view) ** 2)
    constant = (0.33243832, 0.16285370, -0.30924818, -0.10324388, 0.11493334)
    growing = (-6.777104e-2, 1.577425e-3, -1.240906e-2, 3.241678e-2, -3.503695e-2)
    first = sum((a + b * log_depth) * s for a, b, s in zip(constant, growing, shapes, strict=True))
    return first, 0.19666292 - 5.439061e-2 * log_depth, 0.14545937 - 2.910845e-2 * log_depth


def transmittance(depth: float, cosine: float) -> float:
    """Return the share of light that gets through air along one direction, scattered or not."""
    straight = exp(-depth / cosine)
    return ((2 / 3 + cosine) + (2 / 3 - cosine) * straight) / (4 / 3 + depth)


def spherical_albedo(depth: float) -> float:
    """Return the share of light from below, the same from everywhere, that air throws back."""
    third = (exp(-depth) * (1 - depth) + depth**2 * _exponential_integral(depth)) / 2
    return (3 * depth - third * (4 + 2 * depth) + 2 * exp(-depth)) / (4 + 3 * depth)


def _exponential_integral(x: float) -> float:
    """Return E1(x) by its series, for 0 < x <= 1."""
    total, term = -0.5772156649015329 - log(x), 1.0
    for n in range(1, 25):
        term *= -x / n
        total -= term / n
    return total


def _wavelengths(band: Band, unit: str) -> NDArray[np.float64]:
    """Return wavelengths that lie evenly in a band, micrometres."""
    return _CENTRES[unit][band] + _WIDTHS[band] * (np.arange(20) + 0.5 - 10) / 20


def _ozone_mass(cosine: float) -> float:
    """Return the path through the ozone layer over its thickness (Robinson, in Bird and Riordan 1986)."""
    return (1 + _OZONE_HEIGHT) / sqrt(cosine**2 + 2 * _OZONE_HEIGHT)
