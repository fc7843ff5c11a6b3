"""s2cloudless: right bands in the right order and units, its own averaging and growing, and no-data apart."""

import numpy as np
import pytest
import rasterio
from conftest import DATA
from hypothesis import given
from hypothesis import strategies as st
from s2cloudless import S2PixelCloudDetector
from s2cloudless.utils import MODEL_BANDS

from labeling.bands import Band
from labeling.grid import Block
from labeling.masks.clouds.cells import CellGrid, cell_sums, mean
from labeling.masks.clouds.detector import DETECTOR_BANDS, cloud_probability, disk_radius, flag_clouds

CLOUDY = "l1c-13band/s2_cloudy_ROIs1970_fall_139_p839.tif"
CLOUD_FREE = "l1c-13band/s2_cloudfree_ROIs1970_fall_139_p839.tif"
SHIFTED = "terramesh/S2L1C/282D_485L_3_3.tif"
"""Its DN carry the offset of baseline 04.00."""


def patch_cells(name, offset=0, side=16):
    """Mean reflectance of the cells of a real patch of 13 bands, or skip with the reason."""
    file = DATA / name
    if not file.exists():
        pytest.skip(f"real data not present: {file} (POLYNYA_DATA names another folder)")
    with rasterio.open(file) as image:
        dn = image.read().astype(np.float32)
    reflectance = (dn + np.float32(offset)) / np.float32(10_000)
    height, width = dn.shape[1:]
    grid, block, valid = (
        CellGrid(height, width, side),
        Block(0, 0, height, width),
        np.ones((height, width), bool),
    )
    return {
        band: mean(cell_sums(layer, valid, block, 1, grid))
        for band, layer in zip(Band, reflectance, strict=True)
    }


def stacked(cells, bands):
    """(1, rows, columns, bands), as s2cloudless takes it."""
    return np.stack([cells[band] for band in bands], axis=-1)[None]


def test_the_bands_are_those_of_s2cloudless():
    assert list(DETECTOR_BANDS) == MODEL_BANDS


@pytest.mark.parametrize("side", [16, 6])
@pytest.mark.parametrize("name", [CLOUDY, CLOUD_FREE])
def test_real_patches_as_s2cloudless_itself_sees_them(name, side):
    cells = patch_cells(name, side=side)
    theirs = S2PixelCloudDetector(all_bands=True, threshold=0.4, average_over=4, dilation_size=2)
    found = cloud_probability(cells)
    # They take the 13 bands and pick from them.
    expected = theirs.get_cloud_probability_maps(stacked(cells, Band), num_threads=1)[0]
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(
        flag_clouds(found, threshold=0.4, average=4, dilation=2),
        theirs.get_mask_from_prob(expected[None])[0] > 0,
    )


def test_a_cloudy_patch_is_cloudy_and_the_same_ground_without_cloud_is_not():
    cloudy, clear = (cloud_probability(patch_cells(name)) for name in (CLOUDY, CLOUD_FREE))
    assert (cloudy > 0.4).mean() > 0.9
    assert (clear > 0.4).mean() == 0


@pytest.mark.parametrize(("name", "offset"), [(CLOUD_FREE, 0), (SHIFTED, -1000)])
def test_a_forgotten_offset_makes_everything_cloud(name, offset):
    right = cloud_probability(patch_cells(name, offset))
    wrong = cloud_probability(patch_cells(name, offset + 1000))
    assert (right > 0.4).mean() == 0
    assert (wrong > 0.4).mean() == 1


def test_dn_in_place_of_reflectance_are_no_measure_of_cloud():
    cells = patch_cells(CLOUD_FREE)
    assert (cloud_probability({band: values * 10_000 for band, values in cells.items()}) > 0.4).all()


def spectra(rng, rows, columns):
    """Reflectance of the 13 bands, anything that occurs."""
    return {band: rng.uniform(0, 1.2, (rows, columns)).astype(np.float32) for band in Band}


def test_cells_are_classified_one_by_one(monkeypatch):
    cells = spectra(np.random.default_rng(0), 9, 11)
    whole = cloud_probability(cells)
    monkeypatch.setattr("labeling.masks.clouds.detector.CHUNK", 7)
    np.testing.assert_array_equal(cloud_probability(cells), whole)


def test_a_cell_without_one_of_the_bands_has_no_probability():
    cells = spectra(np.random.default_rng(1), 4, 5)
    cells[Band.B10][1, 2] = np.nan
    cells[Band.B03][0, 0] = np.nan  # not one of theirs
    found = cloud_probability(cells)
    np.testing.assert_array_equal(np.argwhere(np.isnan(found)), [[1, 2]])
    assert np.isnan(cloud_probability({band: np.full((3, 3), np.nan, np.float32) for band in Band})).all()


@pytest.mark.parametrize(
    ("metres", "resolution", "cells"), [(640, 160, 4), (320, 160, 2), (640, 60, 11), (320, 60, 5), (0, 60, 0)]
)
def test_sizes_scale_with_resolution(metres, resolution, cells):
    assert disk_radius(metres, resolution) == cells


@given(
    st.integers(1, 12), st.integers(1, 12), st.integers(0, 5), st.integers(0, 3), st.integers(0, 2**32 - 1)
)
def test_where_all_is_known_flags_are_those_of_s2cloudless(rows, columns, average, dilation, seed):
    probability = np.random.default_rng(seed).random((rows, columns)).astype(np.float32)
    found = flag_clouds(probability, threshold=0.4, average=average, dilation=dilation)
    theirs = S2PixelCloudDetector(threshold=0.4, average_over=max(average, 1), dilation_size=dilation)
    # Without averaging theirs ends in a type that OpenCV does not grow; a disk of one pixel is the same.
    if not average:
        theirs.conv_filter = np.ones((1, 1))
    np.testing.assert_array_equal(found, theirs.get_mask_from_prob(probability[None])[0] > 0)


@pytest.mark.parametrize("level", [0.39, 0.41])
def test_a_border_of_no_data_neither_hides_cloud_nor_makes_any(level):
    probability = np.full((12, 12), level, np.float32)
    probability[:, 7:] = np.nan
    found = flag_clouds(probability, threshold=0.4, average=4, dilation=2)
    assert not found[:, 7:].any()
    assert (found[:, :7] == (level > 0.4)).all()


def test_no_data_counts_for_nothing_in_the_average():
    rng = np.random.default_rng(3)
    probability = rng.random((9, 9)).astype(np.float32)
    probability[4] = np.nan
    found = flag_clouds(probability, threshold=0.4, average=2, dilation=0)
    # s2cloudless's disk of 2 reaches two cells in all, whichever way.
    reach = [(d, r) for d in range(-2, 3) for r in range(-2, 3) if abs(d) + abs(r) <= 2]
    for row, column in np.ndindex(5, 5):
        row, column = row + 2, column + 2  # so that the disk stays inside
        if row != 4:
            near = [probability[row + down, column + right] for down, right in reach]
            assert found[row, column] == (np.nanmean(near) > 0.4)


def test_a_cloud_grows_over_a_gap_but_not_into_it():
    probability = np.zeros((5, 9), np.float32)
    probability[2, 3] = 1
    probability[:, 4] = np.nan
    found = flag_clouds(probability, threshold=0.4, average=0, dilation=2)
    assert found[2, 5]
    assert not found[:, 4].any()
