"""Layers between steps: any rectangle comes back, from memory and from files."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.grid import Block, blocks
from labeling.stages.planes import FilePlanes, MemoryPlanes


@st.composite
def cut_and_window(draw):
    height, width = draw(st.integers(1, 20)), draw(st.integers(1, 20))
    rows, columns = draw(st.integers(3, 25)), draw(st.integers(3, 25))
    row, column = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    window = Block(row, column, draw(st.integers(1, height - row)), draw(st.integers(1, width - column)))
    return height, width, rows, columns, window


@settings(max_examples=40)
@given(cut_and_window())
def test_what_was_put_in_blocks_comes_back_in_any_rectangle(tmp_path_factory, case):
    height, width, rows, columns, window = case
    scene = np.random.default_rng(0).integers(0, 256, (height, width), np.uint8)
    folder = tmp_path_factory.mktemp("planes")
    for planes in (
        MemoryPlanes(height=height, width=width),
        FilePlanes(folder, height=height, width=width, rows=rows, columns=columns),
    ):
        for block in blocks(height=height, width=width, size=rows, columns=columns):
            planes.put("layer", block, scene[block.slices])
            planes.note("note", block, corner=scene[block.row, block.column])
            assert planes.noted("note", block)["corner"] == scene[block.row, block.column]
        np.testing.assert_array_equal(planes.get("layer", window), scene[window.slices])


def test_a_file_appears_whole(tmp_path):
    planes = FilePlanes(tmp_path, height=4, width=4, rows=4, columns=4)
    with pytest.raises(FileNotFoundError):
        planes.get("layer", Block(0, 0, 4, 4))
    planes.put("layer", Block(0, 0, 4, 4), np.ones((4, 4), np.uint8))
    assert [file.name for file in tmp_path.iterdir()] == ["layer-0-0.u8"]
