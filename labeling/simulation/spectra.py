"""What sea ice, snow and water reflect in Sentinel-2's bands: surface reflectance from class and brightness.

The simulated surface says how bright a pixel is in a picture (V); here that becomes the kind of ice or snow
which is as bright, by mixing two neighbours on a line of kinds. Levels are those of the albedos below and
nobody's thresholds. Thin ice begins with nilas: grease ice and the darkest nilas, some centimetres of ice
that are hardly brighter than water (0.07 to 0.10), are not drawn.

Sources, rounded to what a band shows:
- Ice and snow on it: spectral albedos of Brandt et al. 2005 (J. Climate 18: Antarctic nilas, young grey and
  grey-white ice, first-year ice, bare and with snow) and Grenfell and Perovich 1984 (J. Geophys. Res. 89:
  first-year ice, melting snow).
- Snow: Wiscombe and Warren 1980 (J. Atmos. Sci. 37) for grain radii of 0.1 and 1 mm.
- Water: light from below the surface in clear water, Morel and Maritorena 2001 (J. Geophys. Res. 106,
  chlorophyll of a few tenths of mg/m3), and what the surface reflects of sun and sky, with foam: equal in all
  bands, a calm and a windy sea after Koepke 1984 (Appl. Opt. 23) and Cox and Munk 1954.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labeling.bands import Band
from labeling.classes import IceClass
from labeling.simulation.noise import Field

Spectrum = NDArray[np.float64]
"""Reflectance 0..1 in the order of `Band`, (13,)."""


def _spectrum(*values: float) -> Spectrum:
    return np.array(values, np.float64)


# B01 443, B02 492, B03 560, B04 665, B05 704, B06 741, B07 783, B08 833, B8A 865, B09 945, B10 1374, B11 1614
# and B12 2202 nm.
_BELOW_WATER: Final = _spectrum(0.016, 0.014, 0.007, 0.0012, 0.0007, 0.0002, 0.0002, 0, 0, 0, 0, 0, 0)
_CALM, _WINDY = 0.010, 0.040
"""What the surface of water reflects, in all bands."""

NILAS: Final = _spectrum(0.17, 0.17, 0.165, 0.15, 0.14, 0.13, 0.12, 0.11, 0.105, 0.09, 0.05, 0.04, 0.04)
GREY: Final = _spectrum(0.32, 0.32, 0.31, 0.29, 0.275, 0.255, 0.23, 0.21, 0.195, 0.16, 0.055, 0.04, 0.04)
GREY_WHITE: Final = _spectrum(0.53, 0.53, 0.52, 0.50, 0.485, 0.46, 0.425, 0.395, 0.37, 0.30, 0.06, 0.04, 0.04)
FIRST_YEAR: Final = _spectrum(0.62, 0.62, 0.61, 0.57, 0.54, 0.50, 0.46, 0.42, 0.39, 0.31, 0.06, 0.04, 0.04)
"""First-year ice without snow."""

FINE_SNOW: Final = _spectrum(
    0.985, 0.985, 0.98, 0.97, 0.965, 0.955, 0.94, 0.925, 0.915, 0.87, 0.52, 0.20, 0.17
)
COARSE_SNOW: Final = _spectrum(
    0.965, 0.96, 0.95, 0.92, 0.90, 0.875, 0.84, 0.80, 0.765, 0.67, 0.20, 0.05, 0.045
)
WET_SNOW: Final = _spectrum(0.90, 0.90, 0.89, 0.86, 0.83, 0.80, 0.76, 0.72, 0.69, 0.59, 0.12, 0.045, 0.04)


class Snow(NamedTuple):
    """The snow of a scene: shares of kinds, 0..1 in all; the rest is fine grains, as fresh as dry cold keeps
    it."""

    coarse: float = 0.0
    wet: float = 0.0

    @property
    def spectrum(self) -> Spectrum:
        """Reflectance of deep snow on the flat."""
        fine = 1 - self.coarse - self.wet
        return np.asarray(fine * FINE_SNOW + self.coarse * COARSE_SNOW + self.wet * WET_SNOW)


def draw_snow(rng: np.random.Generator) -> Snow:
    """Return some day's snow: cold grains of any age, and on one day in four some that melts."""
    wet = max(0.0, float(rng.uniform(-1.2, 0.4)))
    return Snow(coarse=float(rng.uniform(0, 0.8)) * (1 - wet), wet=wet)


def surface_reflectance(classes: NDArray[np.uint8], value: Field, band: Band, snow: Snow) -> Field:
    """Return a band's surface reflectance, f32 of the shape of `classes` (codes of IceClass).

    `value` is the brightness V that the simulated surface has under a clear sky, slopes and their shade
    included; reflectance rises with it. What is darker than the darkest kind of its class is that kind in
    shade, what is brighter than the brightest is that kind facing the sun: both in proportion to V. Pixels
    without a class get 0.
    """
    index = list(Band).index(band)
    found = np.zeros(classes.shape, np.float32)
    for code, line in _lines(snow).items():
        pixels = classes == code
        levels, values = list(line), [spectrum[index] for spectrum in line.values()]
        # Both ends go on in proportion.
        found[pixels] = np.interp(
            value[pixels], (0, *levels, 2 * levels[-1]), (0, *values, 2 * values[-1])
        )  # fmt: skip
    return found


def _lines(snow: Snow) -> dict[IceClass, dict[float, Spectrum]]:
    """Return, for each class, the kinds from dark to bright by the level V that each has."""
    deep = snow.spectrum
    return {
        IceClass.WATER: {6.0: _BELOW_WATER + _CALM, 26.0: _BELOW_WATER + _WINDY},
        IceClass.THIN_ICE: {
            37.0: NILAS,
            112.0: GREY,
            165.0: GREY_WHITE,
            # The brightest young ice has a dusting of snow.
            208.0: 0.55 * GREY_WHITE + 0.45 * deep,
        },
        # A centimetre or two of snow hides half of the ice, as in Brandt's classes of thin snow.
        IceClass.THICK_ICE: {205.0: 0.5 * FIRST_YEAR + 0.5 * deep, 255.0: deep},
    }
