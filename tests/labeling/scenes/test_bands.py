"""A scene in bands: the rows and columns of numpy's own mirrored picture, whatever part is asked for."""

import numpy as np
import pytest
from array_scene import ArrayScene
from hypothesis import given
from hypothesis import strategies as st

from labeling.grid import Block, blocks
from labeling.scenes.bands import RowBuffer, mirrored, read_bands, sweep, swept_width
from labeling.scenes.contract.scene import Pixels

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
    height=st.integers(1, 90), width=st.integers(1, 40), rows=st.sampled_from([1, 4, 16]),
    block=st.sampled_from([1, 7, 64]), data=st.data(),
)  # fmt: skip
def test_bands_are_parts_of_the_mirrored_picture(height, width, rows, block, data):
    rgb, scene = scene_of(height, width, block=block)
    top, left = (data.draw(st.integers(0, limit - 1)) for limit in (height, width))
    part = Block(top, left, *(data.draw(st.integers(1, 150)) for _ in "hw"))
    far = [(0, 200), (0, 200)]
    around = np.pad(rgb, [(0, 0), *far], mode="symmetric")[:, *part.slices]
    seen = np.pad(scene.read(Block(0, 0, height, width)).valid, far, mode="symmetric")[part.slices]
    found = list(read_bands(scene, part, rows=rows))
    assert {pixels.rgb.shape[1] for pixels in found[:-1]} <= {rows}
    np.testing.assert_array_equal(np.concatenate([pixels.rgb for pixels in found], axis=1), around)
    np.testing.assert_array_equal(np.concatenate([pixels.valid for pixels in found]), seen)
    assert all(pixels.beyond is None for pixels in found)


def test_rows_of_a_files_pieces_are_read_once():
    _, scene = scene_of(300, 20, block=64)
    list(read_bands(scene, Block(0, 0, 304, 24), rows=16))
    assert scene.reads.max() == 1


def test_bands_of_a_files_pieces_are_parts_of_them():
    """Only what lies in two pieces is copied, and what is mirrored."""
    rgb, scene = scene_of(128, 20, block=64)
    pieces = [scene.read(Block(top, 0, 64, 20)).rgb for top in (0, 64)]
    scene.read = lambda block: Pixels(pieces[block.row // 64], None)
    whole = [pixels.rgb for pixels in read_bands(scene, Block(0, 0, 128, 20), rows=32)]
    assert [np.shares_memory(band, pieces[number // 2]) for number, band in enumerate(whole)] == [True] * 4
    across = [pixels.rgb for pixels in read_bands(scene, Block(16, 0, 96, 20), rows=32)]
    assert [any(np.shares_memory(band, piece) for piece in pieces) for band in across] == [True, False, True]
    np.testing.assert_array_equal(np.concatenate(across, axis=1), rgb[:, 16:112])


class Summed:
    """A network that adds up the square around, as one with zeros around the picture, and is late."""

    margin, rows = 8, 16

    def __init__(self, widths):
        self.widths = widths

    def sweep(self, bands, *, first, height, width, wanted):
        assert first % self.rows == 0
        bands = list(bands)
        assert {len(band) for band in bands} == {self.rows}
        picture = np.concatenate(bands)[: height - first].astype(float)
        assert picture.shape[1] == width
        self.widths.add(width)
        # What is not there and not beyond the picture must not count.
        above, below = (0.0 if edge else np.nan for edge in (first == 0, first + len(picture) == height))
        sums = square_sums(picture, above, below)[wanted.start - first : wanted.stop - first]
        yield from (sums[start : start + 5].astype(np.float32) for start in range(0, len(sums), 5))


def square_sums(picture, above=0.0, below=0.0):
    """Return sums over 17 x 17 values of a picture (height, width, channels) with zeros beside it."""
    height, width, _ = picture.shape
    around = np.pad(picture, [(8, 8), (8, 8), (0, 0)])
    around[:8], around[-8:] = above, below
    lines = sum(around[shift : shift + height] for shift in range(17))
    return sum(lines[:, shift : shift + width] for shift in range(17))


@pytest.mark.parametrize("valid", [True, False])
@pytest.mark.parametrize(("columns", "parts"), [(72, 1), (72, 3), (36, 2), (40, 2), (24, 1), (24, 3), (8, 7)])
def test_what_is_said_does_not_depend_on_the_parts(valid, columns, parts):
    rgb, scene = scene_of(101, 70, valid)
    whole = np.pad(rgb, [(0, 0), (0, 3), (0, 2)], mode="symmetric")  # cells of 4 pixels
    expected = square_sums(whole.transpose(1, 2, 0).astype(float))
    cut = list(blocks(height=101, width=70, size=16, columns=columns))
    seen, widths = np.zeros((101, 70), int), set()
    for left in sorted({block.column for block in cut}):
        strip = [block for block in cut if block.column == left]
        for some in np.array_split(np.arange(len(strip)), parts):
            mine = [strip[i] for i in some]
            found = sweep(scene, mine, Summed(widths), columns=columns, cell=4)
            for block, (pixels, said) in zip(mine, found, strict=True):
                np.testing.assert_array_equal(said, expected[block.slices])
                np.testing.assert_array_equal(pixels.rgb, rgb[:, *block.slices])
                assert (pixels.valid is not None) is valid
                seen[block.slices] += 1
    assert (seen == 1).all()
    # The last strip, too, which is narrower.
    assert widths == {swept_width(70, columns, Summed(set()), cell=4)}


def test_strips_have_margins_on_inner_sides_only():
    widths = [swept_width(4096, columns, Summed(set()), cell=32) for columns in (4096, 2048, 1376, 32)]
    assert widths == [4096, 2048 + 32, 1376 + 32, 64]  # 8 or 16 pixels, in whole cells


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


def test_a_buffer_copies_only_what_came_in_two_pieces():
    rows, pieces = RowBuffer(0), [np.arange(0, 4), np.arange(4, 8)]
    for piece in pieces:
        rows.put(piece)
    first, second, third = rows.take(0, 3), rows.take(3, 6), rows.take(6, 8)
    assert np.shares_memory(first, pieces[0])
    assert not any(np.shares_memory(second, piece) for piece in pieces)
    assert np.shares_memory(third, pieces[1])
    assert np.concatenate([first, second, third]).tolist() == [*range(8)]
