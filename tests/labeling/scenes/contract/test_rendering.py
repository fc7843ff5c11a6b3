import math

import numpy as np
import pytest
from array_scene import ArrayScene
from hypothesis import given
from hypothesis import strategies as st

from labeling.errors import ConfigError
from labeling.ice.profile import load_profile
from labeling.ice.thresholds import label
from labeling.scenes.contract.rayleigh import Angles
from labeling.scenes.contract.rendering import (
    RENDERINGS,
    Light,
    Sun,
    base_of,
    find_rendering,
    render,
    renderings_of,
)
from labeling.scenes.open import refusal

LIGHT = Light(61.25, [Angles(61.25, 55.0, 4.0, 200.0)] * 3, "B")
NAMES = st.sampled_from(sorted(RENDERINGS))
REFLECTANCE = st.floats(-1, 2, width=32)


def pixels(*reflectance):
    """One row of grey pixels, (3, 1, n)."""
    return np.broadcast_to(np.float32(reflectance), (3, 1, len(reflectance)))


def test_own_scale_comes_first():
    assert renderings_of("L1C")[0] == "tci-l1c"
    assert renderings_of("L2A")[0] == "tci-l2a"
    assert "tci-l2a" not in renderings_of("L1C")


@pytest.mark.parametrize(("name", "water", "thick"), [("tci-l1c", 0.043, 0.285), ("tci-l2a", 0.024, 0.160)])
def test_published_brightness_means_the_documented_reflectance(name, water, thick):
    cuts = load_profile("polynya").thresholds
    level = RENDERINGS[name].top / 255
    around = pixels(water - level, water + level, thick - level, thick + level)
    picture = render(around, np.ones((1, 4), bool), RENDERINGS[name])
    assert label(picture, cuts).tolist() == [[0, 1, 1, 2]]


def test_valid_pixels_are_never_nodata_and_others_always_are():
    valid = np.array([[True, True, True, False, False]])
    picture = render(pixels(-0.1, 0.0, 5.0, 0.2, np.nan), valid, find_rendering("tci-l1c"))
    assert picture[0].tolist() == [[1, 1, 255, 0, 0]]


@given(REFLECTANCE, REFLECTANCE, NAMES)
def test_brighter_stays_brighter(one, other, name):
    two = pixels(*sorted((one, other)))
    low, high = render(two, np.ones((1, 2), bool), RENDERINGS[name], LIGHT)[0, 0]
    assert low <= high


def test_unknown_rendering_names_the_known_ones():
    with pytest.raises(ConfigError, match="tci-l1c"):
        find_rendering("tci")


class TestSun:
    def test_a_name_states_zenith_and_exponent(self):
        rendering = find_rendering("tci-l1c-sun60-k0.9")
        assert (rendering.name, rendering.top, rendering.sun) == ("tci-l1c-sun60-k0.9", 0.3558, Sun(60, 0.9))
        assert base_of("tci-l1c-sun60-k0.9") == base_of("tci-l1c") == "tci-l1c"
        assert find_rendering("tci-l1c").sun is None

    def test_no_division_is_done_twice(self):
        # Reflectance is divided by cos(zenith) already: a Lambertian surface (k = 1) stays as it is.
        assert Sun(60, 1).factor(80) == 1
        # k = 0 undoes that division, and does the one of the wanted height.
        assert Sun(60, 0).factor(80) == pytest.approx(math.cos(math.radians(80)) / math.cos(math.radians(60)))

    @given(st.floats(0, 85), st.floats(0, 85), st.floats(0, 1))
    def test_surfaces_after_minnaert_become_equally_bright(self, one, other, k):
        radiance = [math.cos(math.radians(zenith)) ** k for zenith in (one, other)]
        seen = [r / math.cos(math.radians(z)) for r, z in zip(radiance, (one, other), strict=True)]
        first, second = (r * Sun(60, k).factor(z) for r, z in zip(seen, (one, other), strict=True))
        assert first == pytest.approx(second, rel=1e-9)

    def test_the_picture_is_brightened_and_needs_the_scenes_sun(self):
        rendering, valid = find_rendering("linear-1.0-sun60-k0.5"), np.ones((1, 1), bool)
        picture = render(pixels(0.2), valid, rendering, Light(sun_zenith=75))
        factor = (math.cos(math.radians(60)) / math.cos(math.radians(75))) ** -0.5
        assert picture[0, 0, 0] == round(255 * 0.2 * factor)
        with pytest.raises(ValueError, match="how high the sun"):
            render(pixels(0.2), valid, rendering)

    def test_an_exponent_beyond_one_is_refused(self):
        with pytest.raises(ConfigError, match=r"0\.\.1"):
            find_rendering("tci-l1c-sun60-k1.5")

    def test_a_scene_that_does_not_say_its_sun_is_refused(self):
        product = ArrayScene(
            np.ones((3, 4, 4), np.uint8), renderings=["tci-l1c"], sun_zenith=70.0, product_type="L1C"
        ).info
        assert product.can_be("tci-l1c-sun60-k0.9")
        assert not product.can_be("tci-l2a-sun60-k0.9")
        unknown = product._replace(sun_zenith=None)
        assert not unknown.can_be("tci-l1c-sun60-k0.9")
        assert "does not say how high the sun stood" in refusal(unknown, "tci-l1c-sun60-k0.9")
        assert "Brightness means something else" in refusal(unknown, "tci-l2a")
