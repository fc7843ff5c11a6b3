"""The plan: who is done whole, who is cut, and that a cut keeps to the file's own pieces."""

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.scenes.contract.scene import SceneInfo
from pipelines.engine.plan import cut_of, make_plan, memory_of, tasks_of
from pipelines.engine.scenes import CatalogRow

GIB = 1 << 30
GRANULE = (10980, 10980, [1024, 1024])


def scenes(count, height, width, block):
    return [
        CatalogRow(
            f"{height}-{number}",
            SceneInfo(
                uri=f"/{height}-{number}", group="g", renderings=["rgb8"], height=height, width=width,
                crs=None, transform=None, block=block, bytes=1, modified_ns=1,
            ),
        )
        for number in range(count)
    ]  # fmt: skip


def plan(rows, *, cores=2, memory=2 * GIB, scratch=32 * GIB, **options):
    return make_plan(rows, cores=cores, memory=memory, scratch=scratch, **options)


def test_many_small_pictures_are_done_whole():
    found = plan(scenes(66, 2048, 2048, [256, 256]))
    assert (len(found.whole), found.waves) == (66, [])
    assert str(found) == "66 scene(s) whole, a task each"


@pytest.mark.parametrize(
    ("count", "cores", "tasks"),
    [
        (1, 2, 1),
        (3, 2, 3),
        (17, 2, 17),
        (31, 2, 31),
        (66, 2, 18),
        (66, 16, 66),
        (130, 16, 130),
        (1000, 4, 36),
    ],
)
def test_a_task_does_some_scenes_where_there_are_many(count, cores, tasks):
    assert tasks_of(count, cores) == tasks


def test_one_large_scene_is_cut_over_all_cores():
    found = plan(scenes(1, *GRANULE), cores=16)
    assert found.whole == []
    [[scene]] = found.waves
    assert len(scene.cut.blocks(scene.row.info)) >= 4 * 16
    assert "1 scene(s) cut into" in str(found)


@pytest.mark.parametrize(("count", "whole"), [(3, 0), (4, 4), (5, 4), (9, 8)])
def test_large_scenes_are_done_whole_as_far_as_they_fill_all_cores(count, whole):
    found = plan(scenes(count, *GRANULE), cores=2)
    assert len(found.whole) == whole
    assert sum(map(len, found.waves)) == count - whole


@pytest.mark.parametrize(("count", "cores", "whole"), [(1, 2, 0), (3, 2, 0), (5, 2, 4), (1, 1, 1)])
def test_on_one_machine_the_rest_is_done_with_threads(count, cores, whole):
    found = plan(scenes(count, *GRANULE), cores=cores, one_machine=True)
    assert [len(found.whole), len(found.threaded), found.waves] == [whole, count - whole, []]
    assert ("with threads" in str(found)) == (count > whole)


def test_on_one_machine_too_what_does_not_fit_into_a_worker_is_cut():
    found = plan(scenes(1, *GRANULE), memory=GIB, one_machine=True)
    assert [found.whole, found.threaded, len(found.waves)] == [[], [], 1]


def test_what_does_not_fit_into_a_worker_is_cut():
    rows = scenes(50, *GRANULE)
    assert memory_of(rows[0].info) <= 2 * GIB
    assert plan(rows, memory=GIB).whole == []


def test_waves_keep_to_the_disk_and_a_scene_too_large_for_it_goes_alone():
    rows = scenes(5, *GRANULE)
    assert [len(wave) for wave in plan(rows, memory=GIB, scratch=GIB).waves] == [2, 2, 1]
    assert [len(wave) for wave in plan(rows, memory=GIB, scratch=1).waves] == [1] * 5


def test_a_picture_that_decodes_from_its_top_is_never_cut_unless_asked():
    rows = scenes(1, 20_000, 20_000, [20_000, 20_000])
    assert plan(rows, memory=GIB).waves == []
    assert plan(rows, memory=GIB, cut="always").whole == []


@given(
    height=st.integers(1, 12_000), width=st.integers(1, 12_000), cores=st.integers(1, 128),
    piece=st.sampled_from([(1024, 1024), (256, 256), (512, 512), (1, None), (64, None)]),
)  # fmt: skip
def test_a_cut_keeps_to_the_files_pieces_and_bounds_the_memory_of_a_block(height, width, cores, piece):
    piece_rows, piece_columns = min(piece[0], height), min(piece[1] or width, width)
    [row] = scenes(1, height, width, [piece_rows, piece_columns])
    cut = cut_of(row.info, cores)
    assert cut.rows % piece_rows == 0 or cut.rows == height
    assert cut.columns % piece_columns == 0 or cut.columns == width
    assert cut.rows * cut.columns <= 3 * (1 << 22)
    assert sum(b.height * b.width for b in cut.blocks(row.info)) == height * width
    least = ceil(height / cut.rows) * ceil(width / cut.columns)
    assert len(cut.blocks(row.info)) == least
