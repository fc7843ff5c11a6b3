import cv2
import numpy as np
import oracle
import pytest
from conftest import patchwork, planar
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from labeling.grid import Block, blocks
from labeling.ice.label import (
    class_table,
    compare,
    finish,
    ignored,
    label_scene,
    prepare,
    scene_sums,
    settle_black,
)
from labeling.ice.profile import ThinCloudSettings, load_profile
from labeling.ice.scene_sums import SceneSums
from labeling.ice.thinclouds import _clear_winner, background, filter_table, otsu_threshold
from labeling.simulation.scene import SceneSpec, simulate

PUBLISHED = load_profile("iqrah-2024")
POLYNYA = load_profile("polynya")
UNGUARDED = POLYNYA.model_copy(update={"thin_clouds": ThinCloudSettings()})


def histogram(values):
    return np.bincount(values.ravel(), minlength=256)


def tie(height=17, width=19, apart=115):
    """Two cuts that part the classes equally well on paper: the last bit of the arithmetic decides."""
    values = np.full((height, width), 127, np.uint8)
    values[0, :2] = 127 - apart, 127 + apart
    return values


@pytest.mark.parametrize("lit", [False, True])
def test_a_block_sees_the_furthest_pixel_that_can_decide(lit):
    """Dark, and bright once one pixel 80 rows and columns away is: half the window is bright without it."""
    middle, bright = 100, np.zeros((200, 200), bool)
    # Dilated by 3, 77 columns of the window's 155 are bright, and 77 pixels of one more: 12012 of 24025.
    bright[:, middle + 4 :] = bright[middle + 4 :, middle + 3] = True
    bright[middle - 80, middle - 80] = lit
    grey = np.where(bright, 240, 40).astype(np.uint8)
    whole = cv2.medianBlur(cv2.dilate(grey, np.ones((7, 7), np.uint8)), 155)[middle, middle]
    assert whole == (240 if lit else 40)
    for profile in (PUBLISHED, POLYNYA):
        block = Block(middle, middle, 1, 1)
        outer = block.grow(profile.halo, height=200, width=200)
        found = background(grey[outer.slices], profile.thin_clouds, block.inside(outer))
        assert found.tolist() == [[whole]]


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 30), st.integers(1, 30))))
@example(tie())
@example(tie(30, 30, 3))
@settings(max_examples=200, deadline=None)
def test_otsu_from_the_histogram_is_opencvs(values):
    expected, _ = cv2.threshold(values, 0, 255, cv2.THRESH_TOZERO | cv2.THRESH_OTSU)
    np.testing.assert_array_equal(values <= otsu_threshold(histogram(values)), values <= expected)


@given(hnp.arrays(np.int64, 256, elements=st.integers(1, 3000)))
def test_otsu_of_a_full_histogram_is_opencvs_and_needs_no_picture(counts):
    pixels = np.repeat(np.arange(256, dtype=np.uint8), counts)[np.newaxis]
    expected, _ = cv2.threshold(pixels, 0, 255, cv2.THRESH_TOZERO | cv2.THRESH_OTSU)
    assert otsu_threshold(counts) == expected
    winner = _clear_winner(counts)
    assert winner is None or winner == expected


def test_a_simulated_scene_has_a_clear_winner():
    prepared = prepare(simulate(SceneSpec(scene_id="a", height=512, width=512, seed=3)).rgb, None, POLYNYA)
    counts = scene_sums(compare(prepared.value, POLYNYA), prepared.state, POLYNYA).keys
    assert _clear_winner(counts) is not None


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 90), st.integers(1, 90))))
@settings(max_examples=100, deadline=None)
def test_filter_table_is_the_chain_of_whole_picture_steps(difference):
    _, expected = cv2.threshold(difference, 0, 255, cv2.THRESH_TOZERO | cv2.THRESH_OTSU)
    expected = cv2.normalize(expected, None, 0, 255, cv2.NORM_MINMAX)
    expected = np.minimum(expected, 235).astype(np.uint8)
    expected = cv2.normalize(expected, None, 0, 255, cv2.NORM_MINMAX)
    table = filter_table(histogram(difference), ThinCloudSettings())
    np.testing.assert_array_equal(table[difference], expected)


@pytest.mark.parametrize(("height", "width"), [(2, 2), (7, 300), (160, 90), (417, 333)])
def test_whole_scene_equals_the_oracle(height, width):
    rgb = patchwork(height, width, seed=height)
    expected = oracle.label_filtered(rgb)
    for profile in (PUBLISHED, UNGUARDED):
        np.testing.assert_array_equal(label_scene(planar(rgb), None, profile), expected)


def test_real_picture_equals_the_oracle(real_rgb):
    expected = oracle.label_filtered(real_rgb)
    np.testing.assert_array_equal(label_scene(planar(real_rgb), None, PUBLISHED), expected)


@pytest.mark.parametrize("size", [64, 100, 128, 300, 512, 10_000])
@pytest.mark.parametrize(
    "profile", [PUBLISHED, POLYNYA, load_profile("iqrah-2024-raw")], ids=lambda p: p.name
)
def test_blocks_equal_the_whole_scene(size, profile):
    rgb = planar(patchwork(433, 517, seed=3))
    rgb[:, 300:, 400:] = 0
    np.testing.assert_array_equal(label_in_blocks(rgb, profile, size), label_scene(rgb, None, profile))


@pytest.mark.parametrize("size", [128, 300])
def test_real_picture_in_blocks_equals_the_oracle(real_rgb, size):
    labels = label_in_blocks(planar(real_rgb), PUBLISHED, size)
    np.testing.assert_array_equal(labels, oracle.label_filtered(real_rgb))


def label_in_blocks(rgb, profile, size):
    """The distributed job's arithmetic without Spark."""
    _, height, width = rgb.shape
    cut = list(blocks(height=height, width=width, size=size))
    value, state, key, labels = (np.empty((height, width), np.uint8) for _ in range(4))
    for block in cut:
        rows, columns = block.slices
        value[block.slices], state[block.slices] = prepare(rgb[:, rows, columns], None, profile)
    settle_black(state)
    sums = SceneSums.none()
    for block in cut:
        outer = block.grow(profile.halo, height=height, width=width)
        inside = block.inside(outer)
        compared = compare(value[outer.slices], profile, inside)
        key[block.slices] = compared.key
        sums += scene_sums(compared, state[block.slices], profile, block)
    table = class_table(sums, profile)
    for block in cut:
        labels[block.slices] = finish(key[block.slices], state[block.slices], table, profile, block)
    return labels


def test_nodata_is_ignored_and_kept_out_of_the_histogram():
    rgb = planar(patchwork(200, 260, seed=5))
    valid = np.ones((200, 260), bool)
    valid[:, 180:] = False
    labels = label_scene(rgb, valid, POLYNYA)
    assert (labels[~valid] == 255).all()
    assert (labels[valid] != 255).all()
    # The published profile counts the same pixels as water.
    assert (label_scene(rgb, valid, PUBLISHED)[~valid] == 0).all()
    # Whatever garbage lies under the mask has no influence.
    garbage = rgb.copy()
    garbage[:, ~valid] = np.random.default_rng(0).integers(0, 255, (3, int((~valid).sum())))
    np.testing.assert_array_equal(label_scene(garbage, valid, POLYNYA), labels)


def test_nodata_does_not_shift_the_scenes_stretch():
    # The wedge would move Otsu's threshold if it were counted: 255 is its difference everywhere.
    rgb = planar(patchwork(300, 300, seed=9))
    rgb[:, :, 200:] = 0
    value, state = prepare(rgb, None, POLYNYA)
    settle_black(state)
    without_class = ignored(state, POLYNYA)
    assert without_class[:, 200:].all()
    assert not without_class[:, :200].any()
    key = compare(value, POLYNYA).key
    with_wedge = histogram(key)
    without = histogram(key[~without_class])
    assert otsu_threshold(with_wedge) != otsu_threshold(without)


def test_blocks_cover_every_pixel_once_for_any_size():
    for size in (1, 3, 7, 64):
        seen = np.zeros((13, 17), int)
        for block in blocks(height=13, width=17, size=size):
            seen[block.slices] += 1
            outer = block.grow(4, height=13, width=17)
            assert Block(*outer).inside(outer) == (slice(0, outer.height), slice(0, outer.width))
        assert (seen == 1).all()
