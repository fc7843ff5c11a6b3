"""Widths of channels that were drawn, what is no lead, and blocks that equal the whole."""

import numpy as np
import pytest
from scipy import ndimage

from labeling.classes import IGNORE
from labeling.grid import blocks
from labeling.maps.floes.leads import find_leads, halo

WATER, THIN, THICK = 0, 1, 2


def channel(width, degrees, code=WATER, shape=(240, 240)):
    """A map of thick ice that a straight channel crosses, `degrees` from the columns."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    angle = np.radians(degrees)
    off = (rows - shape[0] / 2 + 0.5) * np.cos(angle) - (columns - shape[1] / 2 + 0.5) * np.sin(angle)
    return np.where(np.abs(off) <= width / 2, code, THICK).astype(np.uint8)


@pytest.mark.parametrize("degrees", [0, 30, 45, 71, 90])
@pytest.mark.parametrize("width", [5, 9, 20, 33])
@pytest.mark.parametrize("code", [WATER, THIN])
def test_channels_are_as_wide_as_they_were_drawn(width, degrees, code):
    classes = channel(width, degrees, code)
    limits = [width - 2.5, width + 2.5, 3 * width]
    leads = find_leads(classes, limits)
    opened = np.count_nonzero(classes == code)
    # Within a pixel or two; where a channel leaves the map, its end belongs to the wider open beyond.
    assert np.count_nonzero(leads == 2) >= 0.85 * opened
    assert np.count_nonzero(leads == 1) <= 0.1 * opened
    assert (leads[classes == THICK] == 0).all()


def test_open_sea_is_no_lead_and_a_channel_into_it_is():
    classes = channel(11, 0)
    classes[:, :100] = WATER
    leads = find_leads(classes, [6, 20, 60])
    assert (leads[:, :90] == 0).all()
    assert (leads[115:125, 130:200] == 2).all()


def test_no_data_makes_no_leads():
    classes = np.full((120, 120), WATER, np.uint8)
    classes[:, 50:] = IGNORE
    classes[:, :2] = THICK
    leads = find_leads(classes, [10, 60])
    assert not leads.any()


def reference(classes, widths):
    """Openings by discs, said with SciPy: a pixel is open where a disc over it holds nothing else."""
    edge = halo(widths)
    around = np.pad(np.isin(classes, (WATER, THIN)) | (classes == IGNORE), edge, constant_values=True)
    found = np.zeros(classes.shape, np.uint8)
    for number in range(len(widths), 0, -1):
        radius = widths[number - 1] / 2
        fits = ndimage.distance_transform_edt(around) - 0.5 >= radius
        size = int(radius) + 2
        down, right = np.mgrid[-size : size + 1, -size : size + 1]
        covered = ndimage.binary_dilation(fits, np.hypot(down, right) <= radius + 0.5)[edge:-edge, edge:-edge]
        found[np.isin(classes, (WATER, THIN)) & ~covered] = number
    return found


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_leads_are_those_of_a_plain_opening_by_discs(seed):
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.normal(size=(90, 110)), 3)
    classes = np.select([field < -0.08, field < 0], [WATER, THIN], THICK).astype(np.uint8)
    classes[:20, :30] = IGNORE
    widths = [4, 7, 13]
    leads = find_leads(classes, widths)
    np.testing.assert_array_equal(leads, reference(classes, widths))


@pytest.mark.parametrize("size", [17, 40, 64])
def test_blocks_with_a_halo_have_the_leads_of_the_whole(size):
    rng = np.random.default_rng(8)
    field = ndimage.gaussian_filter(rng.normal(size=(130, 150)), 4)
    classes = np.where(field < -0.02, WATER, THICK).astype(np.uint8)
    widths = [3.5, 8, 15]
    whole = find_leads(classes, widths)
    for block in blocks(height=130, width=150, size=size):
        # Two circles: one around the pixel, and what decides whether the other fits in.
        outer = block.grow(2 * halo(widths), height=130, width=150)
        part = find_leads(classes[outer.slices], widths)
        np.testing.assert_array_equal(part[block.inside(outer)], whole[block.slices])


@pytest.mark.parametrize("code", [WATER, THICK, IGNORE])
def test_maps_of_one_class_have_no_leads(code):
    assert not find_leads(np.full((30, 40), code, np.uint8), [5, 10]).any()
