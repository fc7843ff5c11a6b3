"""Codes of a status: which of several counts, and what a map takes over from labels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.io import MemoryFile

from labeling.doubt import Doubt
from labeling.errors import SceneError
from labeling.files.raster import CODES_OF_STATUS, read_codes
from labeling.results.status import carried, classed_by, without_class
from labeling.status import UNKNOWN, PixelStatus

CODES = st.lists(st.sampled_from(PixelStatus), min_size=1, max_size=50)


def test_codes_stay_what_they_are():
    """Files that are out there have them."""
    assert {status.name: int(status) for status in PixelStatus} == {
        "CLASSIFIED": 0, "NODATA": 1, "CLOUD": 2, "LAND": 3, "LOW_SUN": 4, "DOUBT": 5,
    }  # fmt: skip
    assert UNKNOWN == 255
    assert len({status.title for status in PixelStatus}) == len(PixelStatus)


@pytest.mark.parametrize(
    ("codes", "status"),
    [
        ([], PixelStatus.CLASSIFIED),
        (["dark-peak"], PixelStatus.DOUBT),
        (["low-sun"], PixelStatus.LOW_SUN),
        (["dark-peak", "low-sun"], PixelStatus.LOW_SUN),
    ],
)
def test_doubts_of_a_scene_are_those_of_its_pixels(codes, status):
    assert classed_by(Doubt(code, "") for code in codes) == status


@given(CODES, st.booleans(), st.randoms())
def test_what_a_map_knows_itself_comes_first(labels, clouds_only, random):
    own = [random.choice([PixelStatus.CLASSIFIED, PixelStatus.NODATA, PixelStatus.LAND]) for _ in labels]
    found = carried(np.array(own, np.uint8), np.array(labels, np.uint8), clouds_only=clouds_only)
    for mine, theirs, code in zip(own, labels, found.tolist(), strict=True):
        if mine != PixelStatus.CLASSIFIED:
            assert code == mine
        elif clouds_only:
            assert code == (theirs if theirs == PixelStatus.CLOUD else PixelStatus.CLASSIFIED)
        else:
            assert code == theirs


@given(CODES)
def test_nodata_and_land_never_have_a_class(codes):
    found = without_class(np.array(codes, np.uint8))
    assert found.tolist() == [code.name in ("NODATA", "LAND") for code in codes]


@pytest.mark.parametrize("codes", [np.uint8([[0, 6]]), np.uint8([[255, 0]]), np.uint16([[0, 1]])])
def test_other_rasters_are_refused(codes):
    with MemoryFile() as memory:
        with memory.open(driver="GTiff", height=1, width=2, count=1, dtype=codes.dtype) as raster:
            raster.write(codes, 1)
        with memory.open() as raster, pytest.raises(SceneError, match="no raster of reasons"):
            read_codes(raster, known=CODES_OF_STATUS)
