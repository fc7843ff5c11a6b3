"""The profiles for products on real Sentinel-2 pixels and on published albedos."""

import cv2
import numpy as np
import pytest
import rasterio
from conftest import DATA

from labeling.bands import BLUE, GREEN, RED
from labeling.ice.profile import load_profile
from labeling.ice.thresholds import brightness, label
from labeling.scenes.contract.rayleigh import Angles, rayleigh_corrected
from labeling.scenes.contract.rendering import Light, find_rendering, render

ANGLES = [
    Angles(sun, 150, view, azimuth) for sun in (20, 40, 60, 70) for view, azimuth in ((0, 0), (10, 330))
]


def drawn(pixels, profile_name, angles=None):
    """Return real reflectance (3, n) R, G, B as a profile's picture (3, 1, n)."""
    light = Light(angles[0].sun_zenith, angles, "A") if angles else Light()
    valid = np.ones((1, pixels.shape[1]), bool)
    return render(pixels[:, None], valid, find_rendering(load_profile(profile_name).rendering), light)


def real(path):
    if not path.exists():
        pytest.skip(f"real data not present: {path} (POLYNYA_DATA names another folder)")
    return path


@pytest.fixture(scope="module")
def masked():
    """Real top-of-atmosphere reflectance R, G, B (3, n) by reference class."""
    with np.load(real(DATA / "csmask-clouds/sentinel2.npz")) as arrays:
        image, mask = arrays["img"], arrays["msk"][..., 0]
    return {code: image[mask == code][:, 2::-1].T.astype(np.float32) for code in (0, 1, 4)}


@pytest.mark.parametrize("angles", ANGLES, ids=str)
def test_real_water_is_water(masked, angles):
    # 840 pixels; the file states no angles, so they are varied over all that a summer scene can have.
    picture = drawn(masked[1], "polynya-l1c", [angles] * 3)
    found = label(picture, load_profile("polynya-l1c").thresholds)
    assert (found == 0).mean() >= 0.95


def test_the_scale_of_the_true_colour_image_had_no_water(masked):
    # What version 3 of the profile did with the same pixels: the fault that these tests are for.
    found = label(render(masked[1][:, None], np.ones((1, 840), bool), find_rendering("tci-l1c")),
                  load_profile("polynya").thresholds)  # fmt: skip
    assert (found == 0).sum() == 0


def test_real_cloud_is_not_water(masked):
    picture = drawn(masked[4], "polynya-l1c", [Angles(40, 150, 4, 200)] * 3)
    assert (label(picture, load_profile("polynya-l1c").thresholds) == 0).mean() < 0.04


@pytest.mark.parametrize("tile", ["282D_485L_3_3"])
def test_levels_of_one_tile_agree_on_what_is_dark(tile):
    # The same ground as L1C (offset -1000, angles not known) and L2A (none in that collection).
    with rasterio.open(real(DATA / f"terramesh/S2L1C/{tile}.tif")) as image:
        top = (image.read([4, 3, 2]).reshape(3, -1).astype(np.float32) - 1000) / 10_000
    with rasterio.open(real(DATA / f"terramesh/S2L2A/{tile}.tif")) as image:
        ground = image.read([4, 3, 2]).reshape(3, -1).astype(np.float32) / 10_000
    below = rayleigh_corrected(top, (RED, GREEN, BLUE), [Angles(35, 150, 4, 200)] * 3)
    # Aerosol stays in what is only Rayleigh-corrected.
    assert -0.01 < np.median(below.max(0) - ground.max(0)) < 0.03


@pytest.mark.parametrize("profile", ["polynya-l1c", "polynya-l2a"])
def test_kinds_of_ice_get_the_classes_of_their_albedos(profile):
    # Brandt et al. 2005, Antarctic sea ice, all bands: open water; nilas, young grey, grey-white (also under
    # some snow); first-year with snow.
    albedos = {0: [0.07], 1: [0.14, 0.16, 0.25, 0.32, 0.41, 0.46, 0.60], 2: [0.81, 0.87]}
    rendering = find_rendering(load_profile(profile).rendering)
    for code, values in albedos.items():
        level = np.rint(np.float32(values) / rendering.top * 255).astype(np.uint8)
        found = label(np.broadcast_to(level, (3, 1, len(values))), load_profile(profile).thresholds)
        assert (found == code).all(), values


def test_published_cut_points_on_products_are_the_published_pictures():
    # The darkest water of a published figure is R, G, B = 14, 18, 26 of 255, its snow 221 to 249: reflectance
    # over 1.0, not the scale of the true-colour image, where water would be darker than air alone.
    profile = load_profile("iqrah-2024-l1c")
    assert find_rendering(profile.rendering).top == 1.0
    figure = np.float32([[14, 221, 249], [18, 222, 248], [26, 224, 246]])
    picture = drawn(figure / 255, "iqrah-2024-l1c")
    np.testing.assert_array_equal(brightness(picture), figure.max(0)[None])
    assert label(picture, profile.thresholds).tolist() == [[0, 2, 2]]
    published = load_profile("iqrah-2024")
    assert (profile.thresholds, profile.thin_clouds) == (published.thresholds, published.thin_clouds)


def test_snow_does_not_saturate():
    # The brightest a published figure's snow can be (V up to 249 of 255), through the air over the Ross Sea.
    snow = np.float32(cv2.merge([np.full((1, 1), 249 / 255)] * 3)).reshape(3, 1)
    assert drawn(snow, "polynya-l1c", [Angles(60, 55, 4, 200)] * 3).max() < 215
