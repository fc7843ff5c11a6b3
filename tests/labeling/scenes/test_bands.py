"""A scene in bands: the rows and columns of numpy's own mirrored picture, whatever part is asked for."""

import numpy as np
import pytest
from array_scene import ArrayScene
from hypothesis import given
from hypothesis import strategies as st

from labeling.grid import Block, blocks
from labeling.scenes.bands import RowBuffer, mirrored, read_bands, sweep, swept_width

RNG = np.random.default_rng(0)


def scene_of(height, width, valid=True, block=1):
    rgb = RNG.integers(0, 256, (3, height, width), np.uint8)
    return rgb, ArrayScene(rgb, RNG.random((height, width)) < 0.5 if valid else None, block=[block, width])


@given(st.integers(1, 9), st.integers(0, 40))
def test_mirrored_places_are_those_of_numpy(limit, margin):
    line = np.arange(limit)
    expected = np.pad(line, margin, mode="symmetric")
    np.testing.assert_array_equal(mirrored(np.arange(-margin, limit + margin), limit), expected)


@given(
    height=st.integers(1, 90), width=st.integers(1, 40), margin=st.integers(0, 50),
    rows=st.sampled_from([1, 4, 16]), block=st.sampled_from([1, 7, 64]), data=st.data(),
)  # fmt: skip
def test_bands_are_parts_of_the_mirrored_picture(height, width, margin, rows, block, data):
    rgb, scene = scene_of(height, width, block=block)
    top = data.draw(st.integers(0, (height - 1) // rows)) * rows
    left = data.draw(st.integers(0, width - 1))
    part = Block(top, left, data.draw(st.integers(1, height - top)), data.draw(st.integers(1, width - left)))
    wide = part.width + 2 * margin + data.draw(st.integers(0, 5))
    far = 200
    around = np.pad(rgb, [(0, 0), (far, far), (far, far)], mode="symmetric")
    seen = np.pad(scene.read(Block(0, 0, height, width)).valid, far, mode="symmetric")
    first = top - -(-margin // rows) * rows
    found = list(read_bands(scene, part, margin=margin, rows=rows, width=wide))
    assert first + len(found) * rows >= top + part.height + margin > first + (len(found) - 1) * rows
    columns = slice(far + left - margin, far + left - margin + wide)
    for index, pixels in enumerate(found):
        lines = slice(far + first + index * rows, far + first + (index + 1) * rows)
        np.testing.assert_array_equal(pixels.rgb, around[:, lines, columns])
        np.testing.assert_array_equal(pixels.valid, seen[lines, columns])
        assert pixels.beyond is None


def test_rows_of_a_files_pieces_are_read_once_but_for_the_mirror():
    _, scene = scene_of(300, 20, block=64)
    list(read_bands(scene, Block(0, 0, 300, 20), margin=16, rows=16, width=52))
    # The one full read of each slab; the first and the last are there when they are mirrored.
    assert scene.reads.max() == 1


class Blurred:
    """A network that adds up the rows around, and lags behind as one does."""

    margin, rows = 8, 16

    def __init__(self, widths):
        self.widths = widths

    def sweep(self, bands):
        whole, given_ = np.zeros((0, 0, 3)), 0
        for band in bands:
            self.widths.add(band.shape[1])
            whole = band.astype(float) if not whole.size else np.concatenate([whole, band])
            ready = max(0, len(whole) - self.margin)
            sums = np.stack([np.roll(whole, -shift, axis=0) for shift in range(-8, 9)]).sum(axis=0)
            yield sums[given_:ready].astype(np.float32)
            given_ = ready


@pytest.mark.parametrize("valid", [True, False])
@pytest.mark.parametrize(("columns", "parts"), [(70, 1), (24, 1), (24, 3), (8, 7)])
def test_what_is_said_does_not_depend_on_the_parts(valid, columns, parts):
    rgb, scene = scene_of(101, 70, valid)
    around = np.pad(rgb, [(0, 0), (8, 8), (0, 0)], mode="symmetric").astype(float)
    expected = sum(around[:, 8 + shift : 109 + shift] for shift in range(-8, 9)).transpose(1, 2, 0)
    cut = list(blocks(height=101, width=70, size=16, columns=columns))
    seen, widths = np.zeros((101, 70), int), set()
    for left in sorted({block.column for block in cut}):
        strip = [block for block in cut if block.column == left]
        for some in np.array_split(np.arange(len(strip)), parts):
            mine = [strip[i] for i in some]
            found = sweep(scene, mine, Blurred(widths), columns=columns, cell=4)
            for block, (pixels, said) in zip(mine, found, strict=True):
                np.testing.assert_array_equal(said, expected[block.slices])
                np.testing.assert_array_equal(pixels.rgb, rgb[:, *block.slices])
                assert (pixels.valid is not None) is valid
                seen[block.slices] += 1
    assert (seen == 1).all()
    # The last strip, too, which is narrower.
    assert widths == {swept_width(columns, Blurred(set()), cell=4)}


def test_a_buffer_gives_rows_as_they_are_asked_for():
    rows = RowBuffer(-5)
    assert not rows.holds(-4)
    rows.put(np.arange(-5, 2))
    rows.put(np.arange(2, 4))
    assert rows.holds(4)
    assert not rows.holds(5)
    assert rows.take(-3, 1).tolist() == [-3, -2, -1, 0]
    assert rows.take(1, 3).tolist() == [1, 2]
    assert rows.take(3, 4).tolist() == [3]
