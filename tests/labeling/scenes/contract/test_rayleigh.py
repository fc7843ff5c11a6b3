"""Clear air against published tables and laws that the formulas do not use."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.bands import BLUE, GREEN, RED, Band
from labeling.scenes.contract.rayleigh import (
    Angles,
    bodhaine,
    clear_air,
    path_reflectance,
    rayleigh_corrected,
    rayleigh_depth,
    spherical_albedo,
    transmittance,
)
from labeling.simulation import air
from labeling.simulation.safe.spec import Direction

ANGLES = st.builds(Angles, st.floats(40, 80), st.floats(0, 360), st.floats(0, 12), st.floats(0, 360))

# Radiance above a Rayleigh layer over a Lambertian surface for a solar flux of pi, of optical depth 0.5 and
# with the sun at a cosine of 0.2, by cosine of the view, azimuth, and albedo: Coulson, Dave and Sekera
# 1960, as corrected by Natraj, Li and Yung 2009 (ApJ 691, 1909). They count azimuths from where light goes.
COULSON = (
    (0.92, 60, 0.0, 0.05643322),
    (0.4, 0, 0.8, 0.23059806),
    (1.0, 0, 0.8, 0.13280858),
    (0.4, 60, 0.8, 0.18923236),
    (0.02, 30, 0.0, 0.39444956),
    (0.02, 0, 0.8, 0.47382125),
)


def seen_from(sun, view, azimuth):
    """Return the angles of two cosines and an azimuth as Coulson's tables count it."""
    return Angles(math.degrees(math.acos(sun)), 0.0, math.degrees(math.acos(view)), 180.0 - azimuth)


@pytest.mark.parametrize(("view", "azimuth", "albedo", "radiance"), COULSON)
def test_a_thick_layer_under_a_low_sun_is_as_tabled(view, azimuth, albedo, radiance):
    # Three times the depth of blue light, and a sun at 78 degrees: all that the fit can be asked.
    path = path_reflectance(0.5, seen_from(0.2, view, azimuth))
    through = transmittance(0.5, 0.2) * transmittance(0.5, view)
    found = path + through * albedo / (1 - albedo * spherical_albedo(0.5))
    assert found == pytest.approx(radiance / 0.2, rel=0.045)


@pytest.mark.parametrize(("sun", "path"), [(45, 0.012), (60, 0.03), (70, 0.045), (78, 0.055)])
@pytest.mark.parametrize("band", [BLUE, GREEN, RED])
def test_the_formula_is_near_the_exact_solution(band, sun, path):
    # Adding and doubling, written for the simulation by nothing of this formula; molecules alone, no ozone.
    angles = Angles(sun, 55.0, 5.0, 200.0)
    depth = air.rayleigh_depth(band)
    exact = air.through_air(air.Air(), band, Direction(sun, 55.0), Direction(5.0, 200.0)).passage
    assert path_reflectance(depth, angles) == pytest.approx(exact.path, rel=path)
    through = math.prod(transmittance(depth, math.cos(math.radians(zenith))) for zenith in (sun, 5.0))
    assert through == pytest.approx(exact.down * exact.up, rel=0.005)
    assert spherical_albedo(depth) == pytest.approx(exact.sphere, rel=0.007)


@given(ANGLES)
def test_thin_air_scatters_once(angles):
    depth = 1e-4
    sun, view = (math.radians(zenith) for zenith in (angles.sun_zenith, angles.view_zenith))
    # The light turns by this angle: 180 degrees when the satellite stands before the sun.
    turned = -math.cos(sun) * math.cos(view) - math.sin(sun) * math.sin(view) * math.cos(
        math.radians(angles.sun_azimuth - angles.view_azimuth)
    )
    phase = 0.75 * (1 + turned**2)
    once = depth * phase / (4 * math.cos(sun) * math.cos(view))
    # Air is not a perfect dipole (depolarisation 0.0279): up to 3 % less varies with the angle.
    assert path_reflectance(depth, angles) == pytest.approx(once, rel=0.03)


@pytest.mark.parametrize("depth", [0.0449, 0.0903, 0.1526, 0.5])
def test_light_is_kept(depth):
    # Air takes nothing: what does not get through a diffuse sky's way is thrown back. Over all directions.
    cosines = (np.arange(2000) + 0.5) / 2000
    through = 2 * np.mean([cosine * transmittance(depth, cosine) for cosine in cosines])
    assert through + spherical_albedo(depth) == pytest.approx(1, abs=2e-3)


def test_depths_are_those_of_published_tables():
    # Bodhaine et al. 1999, their table 3 at sea level: 0.4, 0.5, 0.6 and 0.8 micrometres.
    found = bodhaine(np.array([0.4, 0.5, 0.6, 0.8]))
    np.testing.assert_allclose(found, [0.3599, 0.1431, 0.0681, 0.0212], rtol=0.01)


def test_a_wide_band_scatters_a_little_more_than_its_middle():
    middles = {BLUE: 0.1526, GREEN: 0.0903, RED: 0.0449, Band.B08: 0.0180}
    for band, middle in middles.items():
        assert 1 <= rayleigh_depth(band, "A") / middle < 1.05


@given(ANGLES, st.sampled_from([BLUE, GREEN, RED]), st.sampled_from("ABC"), st.floats(150, 450))
def test_correcting_undoes_the_air(angles, band, unit, ozone):
    surface = np.linspace(0, 1.4, 30, dtype=np.float32)
    clear = clear_air(band, angles, unit=unit, ozone=ozone)
    seen = clear.seen(surface)
    np.testing.assert_allclose(clear.corrected(seen), surface, atol=2e-6)
    assert (np.diff(seen) > 0).all()


def test_ozone_is_taken_from_green_most():
    angles = Angles(60, 55, 4, 200)
    taken = [1 - clear_air(band, angles, ozone=300).ozone for band in (BLUE, GREEN, RED)]
    # 0.3 atm-cm on 1.98 + 1 ways: cross sections of Chappuis' band near 0.022, 0.104 and 0.050 per atm-cm.
    np.testing.assert_allclose(taken, [0.02, 0.089, 0.044], atol=0.006)


def test_layers_are_corrected_each_with_its_band_and_angles():
    picture = np.full((3, 2, 2), 0.3, np.float32)
    picture[:, 0, 0] = np.nan
    angles = [Angles(60, 55, zenith, 200) for zenith in (2, 3, 4)]
    found = rayleigh_corrected(picture, (RED, GREEN, BLUE), angles, unit="B", ozone=250)
    for layer, (band, each) in enumerate(zip((RED, GREEN, BLUE), angles, strict=True)):
        one = clear_air(band, each, unit="B", ozone=250).corrected(picture[layer])
        np.testing.assert_array_equal(found[layer], one)
    assert np.isnan(found[:, 0, 0]).all()
    assert found.dtype == np.float32


@pytest.mark.parametrize(
    ("band", "unit", "zenith", "told"),
    [(Band.B11, "A", 60, "B11"), (BLUE, "D", 60, "Sentinel-2D"), (BLUE, "A", 90, "horizon")],
)
def test_what_is_not_known_is_refused(band, unit, zenith, told):
    with pytest.raises(ValueError, match=told):
        clear_air(band, Angles(zenith, 0, 0, 0), unit=unit)
