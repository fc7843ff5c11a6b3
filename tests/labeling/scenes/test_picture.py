"""Pictures as scenes: what is read is what the file holds."""

import numpy as np
import pytest
from conftest import patchwork, planar
from damaged_files import short_png
from pictures import write_png

from labeling.errors import SceneError
from labeling.grid import Block
from labeling.scenes.picture import open_picture

WHOLE = Block(0, 0, 90, 130)


@pytest.mark.parametrize("corner", [0, 7])
def test_a_png_is_read_pixel_by_pixel_also_where_it_ends_in_black(tmp_path, corner):
    rgb = patchwork(90, 130)
    rgb[60:, 100:] = corner
    with open_picture(write_png(tmp_path / "a.png", rgb)) as picture:
        np.testing.assert_array_equal(picture.read(WHOLE).rgb, planar(rgb))


@pytest.mark.parametrize("rows", [0, 1, 45, 89])
def test_a_png_with_too_few_rows_is_refused(tmp_path, rows):
    path = short_png(tmp_path / "a.png", planar(patchwork(90, 130)), rows)
    with open_picture(path) as picture, pytest.raises(SceneError, match=r"is damaged.*Fetch the file again"):
        picture.read(WHOLE)
