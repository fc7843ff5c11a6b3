"""Profiles for other cuts."""

import numpy as np
import pytest

from labeling.cuts.carry import carry_level, carry_profile, filter_fits
from labeling.cuts.propose import Cuts
from labeling.ice.label import label_scene
from labeling.ice.profile import ThresholdSettings, load_profile
from labeling.simulation.scene import SceneSpec, simulate

POLYNYA = load_profile("polynya")
OLD = POLYNYA.thresholds


def carried(cuts, start=POLYNYA):
    return carry_profile(start, cuts, name="calibrated-x", description="made by a test")


def test_levels_between_the_cuts_keep_their_place():
    new = Cuts(60, 160)
    assert [carry_level(level, OLD, new) for level in (0, 30, 117, 204, 255)] == [0, 60, 110, 160, 255]


def test_the_same_cuts_give_the_same_profile():
    same = carried(Cuts(30, 204))
    assert same.model_dump(exclude={"name", "version", "description"}) == POLYNYA.model_dump(
        exclude={"name", "version", "description"}
    )


def test_guard_and_filter_go_with_the_cuts():
    profile = carried(Cuts(18, 122))
    assert profile.thresholds == ThresholdSettings(water_max=18, thin_ice_max=122)
    guard, old = profile.thin_clouds.guard, POLYNYA.thin_clouds.guard
    assert 18 < guard.background_levels[0] < 122 < guard.snow_levels[0]
    assert guard.reach == pytest.approx(0.6 * old.reach, abs=1)
    assert guard.spans == pytest.approx([0.6 * span for span in old.spans], abs=1)
    assert (guard.near, guard.cell, guard.evidence) == (old.near, old.cell, old.evidence)
    assert profile.rendering == "rgb8"


@pytest.mark.parametrize(
    ("cuts", "fits"), [(Cuts(30, 204), True), (Cuts(100, 130), False), (Cuts(30, 252), False)]
)
def test_the_filter_is_left_out_where_it_makes_no_sense(cuts, fits):
    assert filter_fits(cuts) is fits
    assert (carried(cuts).thin_clouds is not None) is fits


def test_a_bound_of_the_filters_own_is_no_brightness_and_stays():
    start = load_profile("polynya-l1c")
    profile = carried(Cuts(40, 120), start)
    assert start.thin_clouds.thin_max is not None
    assert profile.thin_clouds.thin_max == start.thin_clouds.thin_max
    assert profile.thin_clouds.truncate == start.thin_clouds.truncate
    assert profile.thin_clouds.guard != start.thin_clouds.guard


def test_a_start_without_filter_stays_without():
    assert carried(Cuts(50, 150), load_profile("polynya-clear")).thin_clouds is None


def test_the_filter_gains_under_cloud_in_another_rendering_too():
    scene = simulate(
        SceneSpec(scene_id="a", height=400, width=400, seed=7001, ice_cover=0.95, thin_share=0.1, cloud=0.5)
    )
    darker = np.clip(np.rint(0.6 * scene.rgb.astype(float)), 1, 255).astype(np.uint8)
    profile = carried(Cuts(18, 122))
    plain = profile.model_copy(update={"thin_clouds": None})
    with_filter, without = (
        (label_scene(darker, None, each) == scene.truth).mean() for each in (profile, plain)
    )
    assert with_filter > without + 0.03
