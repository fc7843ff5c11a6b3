import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.errors import ConfigError
from labeling.profile import load_profile
from labeling.rendering import RENDERINGS, find_rendering, render, renderings_of
from labeling.thresholds import label

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
    low, high = render(pixels(*sorted((one, other))), np.ones((1, 2), bool), RENDERINGS[name])[0, 0]
    assert low <= high


def test_unknown_rendering_names_the_known_ones():
    with pytest.raises(ConfigError, match="tci-l1c"):
        find_rendering("tci")
