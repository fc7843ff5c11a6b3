"""Floes that were drawn are found: where they touch too, whole ones alone, whatever lies elsewhere."""

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.morphology import local_maxima, reconstruction
from skimage.segmentation import watershed

from labeling.classes import IGNORE
from labeling.maps.floes.find import NECK, find_floes
from labeling.simulation.floes import Breakage, break_up

WATER, THIN, THICK = 0, 1, 2


def discs(shape, *places):
    """A map of thick discs (row, column, radius) on water."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    ice = np.zeros(shape, bool)
    for row, column, radius in places:
        ice |= np.hypot(rows - row, columns - column) <= radius
    return np.where(ice, THICK, WATER).astype(np.uint8)


def sizes(floes):
    return sorted(np.bincount(floes.labels.ravel())[1:])


def test_discs_apart_are_floes_with_all_their_pixels():
    classes = discs((120, 200), (40, 40, 20), (40, 110, 30), (90, 170, 15))
    floes = find_floes(classes)
    assert len(floes.cut) == 3
    assert not floes.cut.any()
    np.testing.assert_array_equal(floes.labels > 0, classes == THICK)
    for row, column, radius in ((40, 40, 20), (40, 110, 30), (90, 170, 15)):
        own = floes.labels == floes.labels[row, column]
        np.testing.assert_array_equal(own, discs((120, 200), (row, column, radius)) == THICK)


@pytest.mark.parametrize("angle", [0, 17, 45, 90])
@pytest.mark.parametrize(("first", "second"), [(30, 30), (35, 15)])
def test_discs_that_merely_touch_are_two_and_cut_at_the_neck(first, second, angle):
    # As far apart that the common chord, the neck, is half the smaller radius wide on each side.
    half = 0.5 * second
    apart = np.sqrt(first**2 - half**2) + np.sqrt(second**2 - half**2)
    row, column = 80 + apart * np.sin(np.radians(angle)), 70 + apart * np.cos(np.radians(angle))
    classes = discs((180, 200), (80, 70, first), (row, column, second))
    assert cv2.connectedComponents((classes == THICK).astype(np.uint8))[0] == 2  # they do touch
    floes = find_floes(classes)
    assert len(floes.cut) == 2
    assert sizes(floes) == pytest.approx(sorted([np.pi * first**2, np.pi * second**2]), rel=0.08)


def test_discs_that_overlap_widely_are_one():
    assert len(find_floes(discs((120, 160), (60, 60, 30), (60, 85, 30))).cut) == 1


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(3, 12), st.floats(0.3, 1))
def test_a_convex_floe_is_never_cut(seed, corners, flatness):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(corners, 2)) * (40, 40 * flatness)
    outline = cv2.convexHull(np.clip(np.rint(points) + 150, 2, 297).astype(np.int32))
    picture = cv2.fillConvexPoly(np.zeros((300, 300), np.uint8), outline, THICK)
    # A needle of a pixel or two is a row of pixels that meet at corners.
    assume(cv2.distanceTransform(picture, cv2.DIST_L2, 5).max() >= 4)
    whole = sizes(find_floes(picture))
    assert whole[-1] >= 0.97 * np.count_nonzero(picture)  # sharp corners end in single pixels


@pytest.mark.parametrize("neck", [0.4, NECK, 0.9])
@pytest.mark.parametrize("seed", [1, 2])
def test_floes_are_those_that_dynamics_of_the_distance_give(neck, seed):
    """The same cuts said otherwise: markers are the maxima that are left of SciPy's distance when it is
    lowered to `neck` times itself and grown again by reconstruction."""
    rng = np.random.default_rng(seed)
    rough = ndimage.gaussian_filter(rng.normal(size=(260, 240)), 4)
    classes = np.where(rough > -0.02, THICK, WATER).astype(np.uint8)
    solid = classes == THICK
    distance = ndimage.distance_transform_edt(solid)
    sides = ndimage.generate_binary_structure(2, 1)
    lowered = reconstruction(np.maximum(neck * distance - 0.5, 0), distance, footprint=sides)
    markers, count = ndimage.label(local_maxima(lowered, connectivity=1) & solid, sides)
    found = find_floes(classes, neck=neck, hole=0)
    # Specks whose half width less half a pixel is nothing are floes all the same.
    small = ndimage.maximum(distance, found.labels, range(1, len(found.cut) + 1)) * neck <= 0.5
    assert len(found.cut) - small.sum() == pytest.approx(count, rel=0.01)
    flooded = watershed(-distance, markers, mask=solid)
    pairs, counts = np.unique(np.stack([flooded[solid], found.labels[solid]]), axis=1, return_counts=True)
    assert sum(counts[pairs[0] == label].max() for label in range(1, count + 1)) > 0.95 * solid.sum()


@pytest.mark.parametrize("shift", [(0, 0), (13, 5), (40, 77)])
def test_floes_are_the_same_whatever_lies_elsewhere(shift):
    """Found in a crop that holds all of a group of floes, or in the whole map: the same pixels."""
    group = discs((90, 120), (40, 40, 25), (40, 80, 20), (60, 60, 8))
    group[38:40, 36:39] = WATER
    whole = np.full((200, 260), THIN, np.uint8)
    whole[130:, :] = THICK
    down, right = shift
    whole[down : down + 90, right : right + 120] = group
    alone, among = find_floes(group), find_floes(whole)
    part = among.labels[down : down + 90, right : right + 120]
    pairs = np.unique(np.stack([alone.labels[group == THICK], part[group == THICK]]), axis=1)
    assert pairs.shape[1] == len(alone.cut) == len(np.unique(pairs[1]))


def test_floes_at_the_border_or_beside_no_data_are_cut():
    classes = discs((100, 300), (50, 2, 20), (50, 80, 20), (50, 140, 20), (50, 220, 20))
    classes[:, 161] = IGNORE  # a corner of a pixel away from the third
    classes[10:90, 161:199] = IGNORE
    floes = find_floes(classes)
    cut = {column: bool(floes.cut[floes.labels[50, column] - 1]) for column in (5, 80, 140, 220)}
    assert cut == {5: True, 80: False, 140: True, 220: False}


def test_thin_ice_is_of_floes_only_if_asked():
    classes = discs((60, 120), (30, 30, 15))
    classes[discs((60, 120), (30, 90, 15)) == THICK] = THIN
    assert len(find_floes(classes).cut) == 1
    assert len(find_floes(classes, ice=(THIN, THICK)).cut) == 2


def test_small_holes_are_of_the_floe_and_large_or_unknown_ones_are_not():
    classes = discs((120, 120), (60, 60, 40))
    classes[60:63, 40:44] = WATER
    classes[70:80, 70:80] = WATER
    floes = find_floes(classes)
    assert floes.labels[61, 41] == floes.labels[60, 60] > 0
    assert floes.labels[75, 75] == 0
    assert not floes.cut.any()
    assert find_floes(classes, hole=0).labels[61, 41] == 0
    classes[61, 40] = IGNORE
    floes = find_floes(classes)
    assert (floes.labels[60:63, 40:44] == 0).all()
    assert floes.cut[floes.labels[60, 60] - 1]


@pytest.mark.parametrize("code", [WATER, THIN, THICK, IGNORE])
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (30, 30)])
def test_maps_of_one_class(code, shape):
    floes = find_floes(np.full(shape, code, np.uint8))
    assert len(floes.cut) == (1 if code == THICK else 0)
    assert floes.cut.all()


def test_every_floe_hangs_together_by_sides_and_numbers_have_no_gaps():
    rng = np.random.default_rng(5)
    classes = rng.choice(np.array([WATER, THICK], np.uint8), (80, 90), p=[0.4, 0.6])
    floes = find_floes(classes)
    assert set(np.unique(floes.labels)) - {0} == set(range(1, len(floes.cut) + 1))
    for label in range(1, len(floes.cut) + 1):
        assert ndimage.label(floes.labels == label)[1] == 1


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_simulated_floes_have_the_sizes_that_they_were_made_with(seed):
    """A broken plate whose pieces all lie apart: each is found with the pixels of the simulator's list."""
    rng = np.random.default_rng(seed)
    shear = np.zeros((64, 64), np.float32)
    pieces = break_up(rng, height=512, width=512, breakage=Breakage(15, 200, 1.5, 0.4), shear=shear)
    rim = cv2.morphologyEx(pieces.ids.astype(np.float32), cv2.MORPH_GRADIENT, np.ones((3, 3))) > 0
    truth = np.where(rim, 0, pieces.ids)
    known = np.bincount(truth.ravel(), minlength=len(pieces.pixels))
    floes = find_floes(np.where(truth > 0, THICK, WATER).astype(np.uint8))
    found = np.bincount(floes.labels.ravel(), minlength=len(floes.cut) + 1)
    large = np.flatnonzero(known >= 100)[1:]
    assert len(large) > 100
    right = 0
    for piece in large:
        inside, counts = np.unique(floes.labels[truth == piece], return_counts=True)
        best = inside[counts.argmax()]
        right += abs(found[best] - known[piece]) <= 0.02 * known[piece]
    assert right / len(large) > 0.95
