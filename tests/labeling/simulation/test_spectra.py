"""Surface reflectance of simulated kinds against published albedos."""

from itertools import pairwise

import numpy as np
import pytest

from labeling.bands import BLUE, GREEN, RED, Band
from labeling.classes import IGNORE, IceClass
from labeling.simulation import spectra
from labeling.simulation.spectra import Snow, draw_snow, surface_reflectance

NANOMETRES = np.array([443, 492, 560, 665, 704, 741, 783, 833, 865, 945, 1374, 1614, 2202])
LEFT_BY_VAPOUR = [
    *((690, 1), (760, 0.95), (930, 0.6), (1000, 0.75), (1140, 0.2)),
    *((1250, 0.4), (1380, 0), (1600, 0.15), (2200, 0.05)),
]
"""Share of sunlight by wavelength, nm, that water vapour in air and cloud lets through."""

SNOWS = [Snow(), Snow(coarse=0.8), Snow(wet=0.4), Snow(coarse=0.5, wet=0.3)]


def spectrum(code, value, snow=SNOWS[0]):
    classes, level = np.full((1, 1), code, np.uint8), np.full((1, 1), value, np.float32)
    return {band: float(surface_reflectance(classes, level, band, snow)[0, 0]) for band in Band}


def all_band(reflectance):
    """Mean over the sun's light at the ground under cloud: half of it is visible, little beyond 1.1 um."""
    grid = np.arange(400, 2200, 10.0)
    light = 1 / (grid**5 * np.expm1(1.438777e7 / grid / 5778))
    light *= np.interp(grid, *zip(*LEFT_BY_VAPOUR, strict=True))
    return float(np.average(np.interp(grid, NANOMETRES, reflectance), weights=light))


@pytest.mark.parametrize(
    ("kind", "least", "most"),
    [
        # Brandt et al. 2005, all-band albedos of Antarctic sea ice; 0.02 because the light here is a sketch.
        (spectra.NILAS, 0.14, 0.16),
        (spectra.GREY, 0.25, 0.32),
        (spectra.GREY_WHITE, 0.41, 0.46),
        (0.5 * spectra.FIRST_YEAR + 0.5 * spectra.COARSE_SNOW, 0.60, 0.87),
        (spectra.COARSE_SNOW, 0.81, 0.87),
    ],
)
def test_kinds_have_the_all_band_albedos_that_were_measured(kind, least, most):
    assert least - 0.02 <= all_band(kind) <= most + 0.02


def test_melting_snow_is_darker_than_old_and_old_than_fresh():
    assert 0.70 <= all_band(spectra.WET_SNOW) < all_band(spectra.COARSE_SNOW) < all_band(spectra.FINE_SNOW)
    assert all_band(spectra.FINE_SNOW) < 0.95


@pytest.mark.parametrize("value", [6, 11, 16, 23, 26])
def test_water_is_blue_and_dark(value):
    water = spectrum(IceClass.WATER, value)
    assert 0.06 > water[BLUE] > water[GREEN] > water[RED] > 0.01
    assert water[BLUE] >= 0.02
    assert water["B08"] <= water[RED]


@pytest.mark.parametrize("snow", SNOWS)
@pytest.mark.parametrize("code", list(IceClass))
def test_reflectance_rises_with_brightness_in_every_band(code, snow):
    levels = [
        spectrum(code, value, snow) for value in np.arange(2, 50 if code == IceClass.WATER else 300, 1.5)
    ]
    for band in Band:
        assert all(low[band] < high[band] + 1e-6 for low, high in pairwise(levels))
    for band in (BLUE, GREEN, RED):
        assert all(low[band] < high[band] for low, high in pairwise(levels))


def test_thin_ice_goes_from_nilas_to_snow_dusted_grey_white():
    assert 0.14 <= spectrum(IceClass.THIN_ICE, 37)[BLUE] <= 0.18
    assert 0.65 <= spectrum(IceClass.THIN_ICE, 200)[BLUE] <= 0.75


@pytest.mark.parametrize("snow", SNOWS)
def test_thick_ice_is_white_and_dims_in_the_infrared(snow):
    found = spectrum(IceClass.THICK_ICE, 243, snow)
    assert 0.85 <= found[BLUE] <= 0.98
    assert found[BLUE] >= found[RED] > found["B08"] > found["B8A"] > found["B09"] > found["B11"]
    # The snow index that cloud detectors use is 0.7 to 0.95 for snow (Hall and Riggs).
    assert 0.65 < (found[GREEN] - found["B11"]) / (found[GREEN] + found["B11"]) < 0.95


def test_shade_and_slopes_keep_the_colour():
    dark, less = spectrum(IceClass.THICK_ICE, 100), spectrum(IceClass.THICK_ICE, 200)
    for band in Band:
        assert 2 * dark[band] == pytest.approx(less[band])


def test_pixels_of_one_picture_do_not_depend_on_each_other():
    classes = np.array([[0, 1, 2], [IGNORE, 2, 1]], np.uint8)
    value = np.array([[15, 60, 240], [70, 250, 120]], np.float32)
    found = surface_reflectance(classes, value, GREEN, SNOWS[1])
    assert found.dtype == np.float32
    assert found[1, 0] == 0
    for at in np.argwhere(classes != IGNORE):
        row, column = at
        expected = spectrum(classes[row, column], value[row, column], SNOWS[1])[GREEN]
        assert found[row, column] == pytest.approx(expected)


def test_snow_of_many_days_is_cold_on_most_and_always_a_mixture():
    days = [draw_snow(np.random.default_rng(seed)) for seed in range(200)]
    assert 0.15 < np.mean([day.wet > 0 for day in days]) < 0.35
    for day in days:
        assert day.coarse >= 0
        assert day.wet >= 0
        assert day.coarse + day.wet <= 1
