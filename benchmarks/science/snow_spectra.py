"""Simulated spectra of snow under a clear sky, and of cloud above snow, for benchmarks.science.clouds.

Snow reflects as exp(-sqrt(absorption x path)) (Kokhanovsky and Zege 2004, Appl. Opt. 43), with paths in ice
from 0.5 mm (fresh) to 16 mm (old); cloud is a two-stream layer above it (absorption: Twomey and Bohren 1980,
J. Atmos. Sci. 37). Above both is the air of simulated products (labeling/simulation/air.py), with the sun 10
to 40 degrees high; what vapour above a cloud lets through is drawn.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labeling.bands import Band
from labeling.simulation.air import draw_air, through_air
from labeling.simulation.safe.spec import Direction

Spectra = dict[Band, NDArray[np.float32]]
"""Reflectance of cells, (y, x) in each band."""

Range = tuple[float, float]

SNOW: Final[list[tuple[str, Range, Range]]] = [
    ("fresh snow, driest air", (0.5e-3, 2e-3), (0.1, 0.25)),
    ("fresh snow, dry air", (0.5e-3, 2e-3), (0.25, 0.5)),
    ("fresh snow, moist air", (0.5e-3, 2e-3), (0.5, 1.0)),
    ("older snow, driest air", (2e-3, 16e-3), (0.1, 0.25)),
    ("older snow, dry air", (2e-3, 16e-3), (0.25, 0.5)),
    ("older snow, moist air", (2e-3, 16e-3), (0.5, 1.0)),
]
"""Clear sky: the path of light through ice (m), and the water vapour of the air (cm)."""

CLOUDS: Final[list[tuple[str, bool, Range, Range]]] = [
    ("water cloud", False, (5e-6, 15e-6), (3e-3, 0.03)),
    ("low ice cloud", True, (15e-6, 50e-6), (3e-3, 0.03)),
    ("high ice cloud", True, (15e-6, 50e-6), (0.03, 0.4)),
]
"""Whether of ice, the particles' radius (m), and what comes through the air above in B10."""


class Sky(NamedTuple):
    """What air does to light, one row a spectrum, each (count, 13)."""

    gas: NDArray[np.float64]
    """Transmittance of gases."""
    path: NDArray[np.float64]
    """Reflectance over black ground."""
    passed: NDArray[np.float64]
    """Transmittance down and up."""
    sphere: NDArray[np.float64]
    """Spherical albedo."""


# In the order of `Band`. Imaginary refractive index of ice (Warren and Brandt 2008, J. Geophys. Res. 113) and
# of water (Hale and Querry 1973, Appl. Opt. 12) at the middle of the band.
_METRES: Final = 1e-9 * np.array([443, 492, 560, 665, 704, 741, 783, 833, 865, 945, 1375, 1614, 2202])
_ICE: Final = np.array(
    [7.2e-11, 4.5e-10, 2.8e-9, 1.8e-8, 3.1e-8, 5.0e-8, 1.1e-7, 1.5e-7, 2.4e-7, 5.8e-7, 1.5e-5, 2.7e-4, 2.5e-4]
)
_WATER: Final = np.array(
    [1.0e-9, 1.0e-9, 2.6e-9, 2.0e-8, 4.2e-8, 1.3e-7, 1.4e-7, 2.2e-7, 3.5e-7, 2.5e-6, 1.2e-4, 8.8e-5, 2.9e-4]
)
_SKIES: Final = 64
"""Skies drawn; spectra take turns."""


def between(rng: np.random.Generator, bounds: Range, count: int) -> NDArray[np.float64]:
    """Return values (count, 1) between bounds, evenly spread over orders of magnitude."""
    low, high = np.log(bounds)
    return np.exp(rng.uniform(float(low), float(high), (count, 1)))


def snow_albedo(path: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the albedo of snow (count, 13) in which light goes `path` metres through ice (count, 1)."""
    return np.asarray(np.exp(-np.sqrt(4 * np.pi * _ICE / _METRES * path)))


def cloud_over(
    ground: NDArray[np.float64], depth: NDArray[np.float64], radius: NDArray[np.float64], ice: bool
) -> NDArray[np.float64]:
    """Return the albedo (count, 13) of ground under cloud of an optical depth and particle radius (m)."""
    asymmetry, index = (0.78, _ICE) if ice else (0.85, _WATER)
    absorbed = np.minimum(0.85 * 4 * np.pi * index / _METRES * radius, 0.45)
    scattered = 1 - absorbed
    similarity = np.sqrt(absorbed / (1 - scattered * asymmetry))
    deep = (1 - similarity) / (1 + similarity)
    fading = np.exp(-np.sqrt(3 * absorbed * (1 - scattered * asymmetry)) * depth)
    below = 1 - deep**2 * fading**2
    reflected, passed = deep * (1 - fading**2) / below, (1 - deep**2) * fading / below
    return np.asarray(reflected + passed**2 * ground / (1 - ground * reflected))


def skies(rng: np.random.Generator, count: int, vapour: Range | None) -> Sky:
    """Return the skies of spectra: air with that much water vapour (cm), or without any."""
    rows = []
    for _ in range(_SKIES):
        air = draw_air(rng)._replace(vapour=float(rng.uniform(*vapour)) if vapour else 0.0)
        sun, view = Direction(rng.uniform(50, 80), rng.uniform(0, 360)), Direction(rng.uniform(0, 11), 105.0)
        through = [through_air(air, band, sun, view) for band in Band]
        rows.append([(gas, air.path, air.down * air.up, air.sphere) for _, gas, air in through])
    drawn = np.array(rows)[rng.integers(_SKIES, size=count)]
    return Sky(*np.moveaxis(drawn, -1, 0))


def at_sensor(albedo: NDArray[np.float64], sky: Sky) -> Spectra:
    """Return top-of-atmosphere reflectance, one row of `cells` for each of the spectra."""
    seen = sky.gas * (sky.path + sky.passed * albedo / (1 - sky.sphere * albedo))
    return {band: seen[None, :, index].astype(np.float32) for index, band in enumerate(Band)}


def below_vapour(rng: np.random.Generator, sky: Sky, through: Range) -> Sky:
    """Return dry skies with what vapour above a cloud lets through of B09, and of B10 (between bounds)."""
    gas, count = sky.gas.copy(), len(sky.gas)
    gas[:, list(Band).index(Band.B09)] *= rng.uniform(0.6, 0.95, count)
    gas[:, list(Band).index(Band.B10)] *= between(rng, through, count)[:, 0]
    return sky._replace(gas=gas)


def simulated(count: int) -> dict[str, Spectra]:
    """Return spectra by what they show, `count` each."""
    rng = np.random.default_rng(0)
    tilt = rng.uniform(0.7, 1.0, (count, 1))
    shown = {}
    for title, path, vapour in SNOW:
        shown[title] = at_sensor(snow_albedo(between(rng, path, count)) * tilt, skies(rng, count, vapour))
    for title, ice, radius, above in CLOUDS:
        for name, depth in (("thin", (1.0, 5.0)), ("thick", (5.0, 40.0))):
            ground = snow_albedo(between(rng, (0.5e-3, 16e-3), count))
            albedo = cloud_over(ground, between(rng, depth, count), between(rng, radius, count), ice)
            sky = below_vapour(rng, skies(rng, count, None), above)
            shown[f"{name} {title} over snow"] = at_sensor(albedo * tilt, sky)
    return shown
