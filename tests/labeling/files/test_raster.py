import numpy as np
import pytest
import rasterio
from rasterio.windows import Window

from labeling.classes import IGNORE, PALETTES
from labeling.files.raster import overview_levels, write_class_raster


@pytest.mark.parametrize(
    ("side", "levels"), [(1, []), (256, []), (257, [2]), (1024, [2, 4]), (10980, [2, 4, 8, 16, 32, 64])]
)
def test_overviews_end_at_about_a_tile(side, levels):
    assert overview_levels(side, 1) == levels


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 700), (300, 300)])
def test_class_raster_round_trip(tmp_path, height, width):
    codes = np.random.default_rng(0).choice([0, 1, 2, IGNORE], (height, width)).astype(np.uint8)
    half = height // 2
    pieces = [
        (Window(0, 0, width, half), codes[:half]),
        (Window(0, half, width, height - half), codes[half:]),
    ]
    target = tmp_path / "labels.tif"
    write_class_raster(
        target, [p for p in pieces if p[1].size], height=height, width=width, crs=None, transform=None,
        palette="iqrah-2024",
    )  # fmt: skip
    with rasterio.open(target) as raster:
        np.testing.assert_array_equal(raster.read(1), codes)
        assert raster.nodata == IGNORE
        assert raster.crs is None
        assert raster.colormap(1)[1][:3] == PALETTES["iqrah-2024"][1]
        assert raster.tags(1)["CLASS_2"] == "thick ice"


def test_failed_raster_leaves_nothing(tmp_path):
    def pieces():
        yield Window(0, 0, 10, 5), np.zeros((5, 10), np.uint8)
        raise ValueError("decoding failed")

    with pytest.raises(ValueError, match="decoding failed"):
        write_class_raster(tmp_path / "a.tif", pieces(), height=10, width=10, crs=None, transform=None)
    assert list(tmp_path.iterdir()) == []
