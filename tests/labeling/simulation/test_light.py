"""Simulated reflectance against real pixels and the laws of air; cloud and shadow; what a processor does."""

from functools import cache
from math import cos, radians, sin

import numpy as np
import pytest
from conftest import DATA
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.bands import BLUE, GREEN, RED, Band
from labeling.classes import IGNORE, IceClass
from labeling.simulation import processor
from labeling.simulation.air import rayleigh_depth
from labeling.simulation.light import REACH, Conditions, band_reflectance
from labeling.simulation.processor import (
    error_field,
    guess,
    noisy,
    quality_classes,
    scene_classes,
    surface_from_top,
)
from labeling.simulation.product import product_spec
from labeling.simulation.scene import SceneSpec, SimulatedScene, simulate, sun_azimuth
from labeling.simulation.spectra import surface_reflectance

SIDE = 240
VISIBLE = (BLUE, GREEN, RED)
MEASURED = (BLUE, GREEN, RED, Band.B08, Band.B11, Band.B12)
SUNS = (40, 50, 60, 70, 80)


def spec(**changes):
    values = {"scene_id": "test-01", "height": SIDE, "width": SIDE, "seed": 5}
    return SceneSpec(**values | {"ice_cover": 0.7, "thin_share": 0.4} | changes)


@cache
def scene(**changes):
    return simulate(spec(**changes))


def conditions(**changes):
    return Conditions.of(product_spec(spec(**changes)))


def top(**changes):
    """Reflectance of the measured bands, (6, height, width)."""
    made, at = scene(**changes), conditions(**changes)
    return np.stack([band_reflectance(made, at, band) for band in MEASURED])


@cache
def real(code):
    """Real pixels of a class of the reference, (pixels, 6 bands): 1 water, 4 cloud."""
    file = DATA / "csmask-clouds" / "sentinel2.npz"
    if not file.exists():
        pytest.skip(f"real data not present: {file} (POLYNYA_DATA names another folder)")
    with np.load(file) as content:
        return content["img"][content["msk"][..., 0] == code]


def single_scattering(band, at):
    """Light that air scatters once, as in published tables, without the loss on the way."""
    sun, view = radians(at.sun.zenith), radians(at.view[list(Band).index(band)].zenith)
    azimuth = radians(at.view[list(Band).index(band)].azimuth - at.sun.azimuth)
    angle = -cos(sun) * cos(view) - sin(sun) * sin(view) * cos(azimuth)
    return rayleigh_depth(band) * 0.75 * (1 + angle**2) / (4 * cos(sun) * cos(view))


def flat(*, value, code=IceClass.THICK_ICE, cloud=0.0, shadow=0.0):
    """A scene that is the same everywhere."""
    whole = np.ones((6, 6), np.float32)
    rgb = np.ones((3, 6, 6), np.uint8)
    return SimulatedScene(rgb, np.full((6, 6), code, np.uint8), cloud * whole, shadow * whole, value * whole)


def one_pixel(at=None, **what):
    made = flat(**what)
    at = at or conditions(sun_zenith=60)
    return {band: float(band_reflectance(made, at, band)[0, 0]) for band in Band}


# Real pixels


@pytest.mark.parametrize("sun", SUNS)
def test_water_is_never_darker_than_it_can_be(sun):
    # The fault that this simulation had: water of 0.02, at which every threshold on it agreed with itself.
    water = top(sun_zenith=sun)[:3, scene(sun_zenith=sun).truth == IceClass.WATER]
    assert np.percentile(water.max(axis=0), 1) > 0.06
    blue, green, red = np.median(water, axis=1)
    assert blue > green > red


@pytest.mark.parametrize("sun", SUNS)
@pytest.mark.parametrize("seed", [5, 6, 7])
def test_no_scene_is_darker_than_its_air(sun, seed):
    changes = {"sun_zenith": sun, "seed": seed, "cloud": 0.4}
    found, at = top(**changes), conditions(**changes)
    for band, values in zip(VISIBLE, found, strict=False):
        # The lowest pressure that a scene can have, and ozone above the air.
        least = single_scattering(band, at) * at.air.pressure / 1013.25 * at.through(band).gas
        assert np.percentile(values, 1) > least


@pytest.mark.parametrize("sun", [45, 55, 65, 72])
def test_water_is_within_the_range_of_real_water(sun):
    measured = np.percentile(real(1)[:, :3], [1, 99], axis=0)
    water = top(sun_zenith=sun)[:3, scene(sun_zenith=sun).truth == IceClass.WATER]
    for value, least, most in zip(np.median(water, axis=1), *measured, strict=True):
        assert least < value < most


@pytest.mark.parametrize("sun", [45, 60, 72])
@pytest.mark.parametrize("depth", [1.0, 2.0])
def test_cloud_over_water_is_within_the_range_of_real_cloud(sun, depth):
    measured = np.percentile(real(4), [1, 99], axis=0)
    found = one_pixel(conditions(sun_zenith=sun), value=15, code=IceClass.WATER, cloud=depth)
    for band, least, most in zip(MEASURED, *measured, strict=True):
        assert least < found[band] < most


def test_thick_cloud_has_the_colours_of_real_cloud():
    # Bright real cloud, which hides the land below.
    cloud = real(4)[real(4)[:, :3].max(axis=1) > 0.6]
    found = one_pixel(value=15, code=IceClass.WATER, cloud=12.0)
    for band, values in zip(MEASURED, cloud.T, strict=True):
        ratios = np.percentile(values / cloud[:, 1], [1, 99])
        assert ratios[0] <= found[band] / found[GREEN] <= ratios[1]


@pytest.mark.parametrize("sun", [45, 60, 70])
def test_snow_is_as_bright_as_in_the_published_pictures(sun):
    # Published Ross Sea pictures show reflectance up to 1.0, and snow at 221 to 249 of 255.
    snow = top(sun_zenith=sun)[:3, scene(sun_zenith=sun).truth == IceClass.THICK_ICE].max(axis=0)
    assert 0.78 < np.median(snow) < 0.98
    assert np.percentile(snow, 99) < 1.1


# Light


def test_no_data_is_nan_and_the_blur_takes_nothing_from_it():
    made, at = scene(nodata=0.2), conditions(nodata=0.2)
    found, whole = band_reflectance(made, at, BLUE), band_reflectance(scene(), at, BLUE)
    np.testing.assert_array_equal(np.isnan(found), made.truth == IGNORE)
    assert found.dtype == np.float32
    seen = made.truth != IGNORE
    assert np.nanmin(found) >= whole[seen].min() - 1e-6
    assert (np.abs(found - whole)[seen] > 1e-4).mean() < 0.02


@pytest.mark.parametrize("rows", [slice(0, 60), slice(90, 150), slice(180, 240)])
def test_a_part_with_its_surroundings_gives_the_part_of_the_whole(rows):
    made, at = scene(cloud=0.5, nodata=0.1), conditions()
    first, stop = max(0, rows.start - REACH), min(SIDE, rows.stop + REACH)
    part = SimulatedScene(made.rgb[:, first:stop], *(layer[first:stop] for layer in made[1:]))
    inside = slice(rows.start - first, rows.stop - first)
    np.testing.assert_array_equal(
        band_reflectance(part, at, RED)[inside], band_reflectance(made, at, RED)[rows]
    )


@given(
    value=st.floats(5, 280), depth=st.floats(0, 3), shadow=st.floats(0, 1), code=st.sampled_from(IceClass),
    sun=st.sampled_from(SUNS),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_any_pixel_gives_reflectance(value, depth, shadow, code, sun):
    found = one_pixel(conditions(sun_zenith=sun), value=value, code=code, cloud=depth, shadow=shadow)
    assert 0 <= min(found.values()) < max(found.values()) < 2.2


def test_a_brighter_surface_is_brighter_in_every_band_under_any_sky():
    for cloud, shadow in ((0, 0), (0.7, 0), (0, 0.8)):
        for code, low, high in ((IceClass.WATER, 10, 20), (IceClass.THIN_ICE, 50, 120), (2, 200, 245)):
            dark = one_pixel(value=low, code=code, cloud=cloud, shadow=shadow)
            bright = one_pixel(value=high, code=code, cloud=cloud, shadow=shadow)
            assert all(dark[band] <= bright[band] + 1e-6 for band in Band)
            assert dark[GREEN] < bright[GREEN]


def test_snow_is_bright_in_the_visible_and_dark_in_the_short_wave_infrared():
    snow = one_pixel(value=243)
    assert (snow["B03"] - snow["B11"]) / (snow["B03"] + snow["B11"]) > 0.6
    assert snow["B04"] > snow["B08"] > snow["B8A"] > snow["B09"] > snow["B11"] > snow["B12"] > snow["B10"]
    assert snow["B10"] < 0.01


@pytest.mark.parametrize(
    ("code", "value"), [(IceClass.WATER, 15), (IceClass.THIN_ICE, 60), (IceClass.THICK_ICE, 243)]
)
def test_cloud_is_bright_in_the_short_wave_infrared_and_in_the_cirrus_band(code, value):
    under, without = one_pixel(value=value, code=code, cloud=1.0), one_pixel(value=value, code=code)
    for band in ("B10", "B11", "B12"):
        assert under[band] > without[band] + 0.05
    assert under["B10"] > 0.05 > 0.01 > without["B10"]


def test_a_processor_leaves_cloud_grey_under_any_sun():
    # Ozone lies above cloud: a processor takes it from both, or cloud over ice turns green.
    for sun in SUNS:
        at = conditions(sun_zenith=sun)
        found = one_pixel(at, value=243, cloud=1.5)
        colours = [
            surface_from_top(np.full((1, 1), found[band], np.float32), band, at, np.zeros((1, 1), np.float32))
            for band in VISIBLE
        ]
        blue, green, red = np.ravel(colours)
        assert abs(green - (blue + red) / 2) < 0.03 * green


def test_a_shadow_is_blue_and_darkens_every_band():
    lit, shaded = one_pixel(value=243), one_pixel(value=243, shadow=0.8)
    ratios = {band: shaded[band] / lit[band] for band in Band}
    assert max(ratios.values()) < 0.8
    assert ratios[BLUE] > ratios[GREEN] > ratios[RED] > ratios["B08"] > 0.5


def test_the_pass_has_one_air_and_one_snow_whatever_the_level():
    one = product_spec(spec())
    other = product_spec(spec(cloud=0.5), product_type="L2A", baseline="02.08")
    assert Conditions.of(one) == Conditions.of(other)
    assert Conditions.of(one).air != Conditions.of(product_spec(spec(seed=6))).air


def test_slopes_that_face_the_sun_are_lit():
    # Ice rises out of the water: where the sun stands in the picture, its edge is bright.
    made = scene(ice_cover=0.5, thin_share=0.0)
    azimuth = radians(sun_azimuth(spec(ice_cover=0.5, thin_share=0.0)))
    thick = (made.truth == IceClass.THICK_ICE).astype(np.float32)
    down, right = np.gradient(thick)
    # Outward normals point where the ice ends; x to the east, y to the south.
    facing = -(right * sin(azimuth) - down * cos(azimuth))
    at_edge = thick > 0
    lit, dim = made.value[at_edge & (facing > 0.3)], made.value[at_edge & (facing < -0.3)]
    assert lit.mean() > dim.mean() + 10


# The processor


def test_noise_is_that_of_the_instrument_and_of_light():
    rng = np.random.default_rng(0)
    dark, bright = np.full((300, 300), 0.05, np.float32), np.full((300, 300), 0.8, np.float32)
    for values, least, most in ((dark, 0.0004, 0.0012), (bright, 0.002, 0.005)):
        found = noisy(rng, values, BLUE)
        assert found.mean() == pytest.approx(values.mean(), abs=1e-4)
        assert least < found.std() < most
    assert np.isnan(noisy(rng, np.full((2, 2), np.nan, np.float32), BLUE)).all()


def test_a_processor_that_knows_all_gives_the_surface_back():
    made, at = scene(), conditions()
    for band in VISIBLE:
        # Without the sensor's blur, which mixes light rather than surfaces.
        ground = surface_reflectance(made.truth, made.value, band, at.snow)
        _, gas, air = at.through(band)
        seen = gas * (air.path + air.down * air.up * ground / (1 - air.sphere * ground))
        found = surface_from_top(seen.astype(np.float32), band, at, np.zeros((40, 40), np.float32))
        np.testing.assert_allclose(found, ground, atol=2e-6)


@pytest.mark.parametrize("sun", [45, 60, 72])
def test_surface_reflectance_errs_as_that_of_real_products(sun):
    errors = {code: [] for code in IceClass}
    for seed in range(6):
        changes = {"sun_zenith": sun, "seed": seed}
        made, at = scene(**changes), conditions(**changes)
        rng = np.random.default_rng(seed)
        guessed, error = guess(rng, at), error_field(rng, height=40, width=40)
        for band in VISIBLE:
            truth = surface_reflectance(made.truth, made.value, band, at.snow)
            found = surface_from_top(band_reflectance(made, at, band), band, guessed, error)
            for code in IceClass:
                pixels = made.truth == code
                errors[code].append(np.median((found - truth)[pixels]))
    # Some 0.005 plus 5 %, which ESA states as the aim, and more in the dark under a low sun; none is exact.
    for code, most in ((IceClass.WATER, 0.010), (IceClass.THIN_ICE, 0.010), (IceClass.THICK_ICE, 0.05)):
        spread = np.sqrt(np.mean(np.square(errors[code])))
        assert 0.0005 < spread < most


def test_l2a_water_is_as_dark_as_that_of_real_products():
    blues = []
    for seed in range(8):
        made, at = scene(seed=seed), conditions(seed=seed)
        rng = np.random.default_rng(seed)
        guessed, error = guess(rng, at), error_field(rng, height=40, width=40)
        found = surface_from_top(band_reflectance(made, at, BLUE), BLUE, guessed, error)
        blues.append(np.median(found[made.truth == IceClass.WATER]))
    # Real water: 0.02 to 0.05.
    assert 0.015 < min(blues) < max(blues) < 0.06


def test_quality_classes_follow_the_sky_and_the_ice():
    made = scene(cloud=0.6, nodata=0.1)
    opaque, cirrus, snow = quality_classes(made)
    depth = made.cloud.reshape(SIDE // 6, 6, SIDE // 6, 6).mean(axis=(1, 3))
    np.testing.assert_array_equal(opaque == 1, depth >= 0.8)
    np.testing.assert_array_equal(cirrus == 1, (depth >= 0.15) & (depth < 0.8))
    assert not (opaque & snow).any()
    for layer in (cirrus, snow):
        assert 0.05 < layer.mean() < 0.95
    np.testing.assert_array_equal(quality_classes(flat(value=240)), [[[0]], [[0]], [[1]]])
    np.testing.assert_array_equal(quality_classes(flat(value=240, cloud=2)), [[[1]], [[0]], [[0]]])


@pytest.mark.parametrize(
    ("what", "code"),
    [
        # Codes of ESA's scene classification.
        ({"value": 240}, 11),
        ({"value": 60, "code": IceClass.THIN_ICE}, 11),
        ({"value": 15, "code": IceClass.WATER}, 6),
        ({"value": 240, "shadow": 0.7}, 3),
        ({"value": 240, "cloud": 0.3}, 10),
        ({"value": 240, "cloud": 1.5, "shadow": 0.7}, 9),
        ({"value": 240, "code": IGNORE}, 0),
    ],
)
def test_scene_classes_follow_the_sky_and_the_surface(what, code):
    found = scene_classes(flat(**what))
    assert (found.shape, found.dtype) == ((3, 3), np.uint8)
    assert (found == code).all()


def test_the_guess_errs_in_aerosol_most():
    at = conditions()
    guesses = [guess(np.random.default_rng(seed), at).air for seed in range(60)]
    off = [one.aerosol - at.air.aerosol for one in guesses]
    assert 0.02 < np.std(off) < 0.04
    assert min(one.aerosol for one in guesses) >= processor._LEAST_AEROSOL
    assert max(abs(one.ozone / at.air.ozone - 1) for one in guesses) < 0.2
    assert {one.pressure for one in guesses} == {at.air.pressure}
