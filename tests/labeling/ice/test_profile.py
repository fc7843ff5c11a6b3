import pytest
import yaml

from labeling.errors import ConfigError
from labeling.ice.profile import LabelingProfile, ThinCloudSettings, load_profile, profile_names


def test_shipped_profiles_load_and_say_what_they_do():
    names = {"iqrah-2024", "iqrah-2024-raw", "polynya", "polynya-clear"}
    products = {f"{name}-l1c" for name in names} | {"polynya-l2a", "polynya-clear-l2a"}
    assert profile_names() == sorted(names | products)
    for name in profile_names():
        profile = load_profile(name)
        assert profile.name == name
        assert profile.version >= 1
        assert profile.description
    assert load_profile("polynya").nodata == "ignore"
    assert load_profile("iqrah-2024").nodata == "water"
    assert load_profile("iqrah-2024-raw").thin_clouds is None
    assert load_profile("polynya").halo == 80
    guarded = {
        name for name in profile_names() if (load_profile(name).thin_clouds or ThinCloudSettings()).guard
    }
    assert guarded == {"polynya", "polynya-l1c", "polynya-l2a"}


def test_own_profile_from_a_file(tmp_path):
    content = load_profile("polynya").model_dump() | {"name": "mine", "thresholds": {"water_max": 20}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    profile = load_profile(str(tmp_path / "mine.yaml"))
    assert (profile.name, profile.thresholds.water_max, profile.thresholds.thin_ice_max) == ("mine", 20, 204)


@pytest.mark.parametrize(
    "change",
    [
        {"thresholds": {"water_max": 204, "thin_ice_max": 30}},
        {"thin_clouds": {"median": 154}},
        {"thin_clouds": {"guard": {"near": 8}}},
        {"thin_clouds": {"guard": {"spans": [8, 16, 32, 64]}}},
        {"thin_clouds": {"guard": {"snow_levels": [220, 220, 244]}}},
        {"nodata": "thin"},
        {"colour": "red"},
    ],
)
def test_impossible_profiles_are_refused(tmp_path, change):
    content = load_profile("polynya").model_dump() | change
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        load_profile(str(tmp_path / "bad.yaml"))


def test_unknown_profile_names_the_known_ones():
    with pytest.raises(ConfigError, match=r"iqrah-2024, .*polynya, .*polynya-l1c, polynya-l2a"):
        load_profile("iqra")


def test_profiles_never_change():
    with pytest.raises(ValueError, match="frozen"):
        LabelingProfile(name="a", version=1).version = 2


@pytest.mark.parametrize(
    "text",
    [
        "name: own\nversion: 1\nthin_clouds: {median: 1000001}\n",
        "name: own\nversion: 1\nthin_clouds: {dilate: 1000001}\n",
        "name: own\nversion: 1\nthin_clouds: {guard: {near: 1000001}}\n",
        "name: own\nversion: 1\nthin_clouds: &own {guard: *own}\n",
        "a: &a [x, x]\nb: &b [*a, *a]\nname: *b\n",
    ],
)
def test_profiles_that_would_never_end_are_refused(tmp_path, text):
    file = tmp_path / "own.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"less than or equal to 1023|repeats another value; write"):
        load_profile(str(file))
