"""Rows of a scene that has failed are not begun; those of others are."""

import time
from functools import partial

import pandas as pd
import pytest
from spark_cluster import wait_for

from labeling.errors import SceneError
from labeling.in_time import still_waiting
from labeling.masks.limits import LimitSettings
from pipelines.engine.rows import each_row
from pipelines.schemas import DECODED

LIMITS = LimitSettings(seconds=0.2)


@pytest.fixture(autouse=True)
def nothing_left():
    """Wait for work that was given up: a job's main ends the process while any goes on."""
    yield
    wait_for(lambda: not still_waiting(), "work that was given up")


def rows(*scenes):
    return pd.DataFrame([{"scene_id": scene, "number": number} for number, scene in enumerate(scenes)])


def work(begun, row):
    """Fail in the first block of `bad`, be late in that of `slow`, and in all of `steady` together."""
    begun.append((row["scene_id"], row["number"]))
    if row["scene_id"] == "bad":
        raise SceneError("no pixels in it.")
    if row["scene_id"] == "slow":
        time.sleep(2)
    if row["scene_id"] == "steady":
        time.sleep(0.08)
    return {"states": [row["number"]]}


def done(mark, *scenes):
    """Return which rows were begun, and the errors by row."""
    begun = []
    found = pd.concat(each_row(iter([rows(*scenes)]), partial(work, begun), DECODED, LIMITS, mark))
    return begun, found["error"].tolist()


@pytest.mark.parametrize("scene", ["bad", "slow"])
def test_of_a_scene_that_has_failed_no_block_is_begun(tmp_path, scene):
    begun, errors = done(lambda row: tmp_path / row["scene_id"], scene, "good", scene, "good")
    assert begun == [(scene, 0), ("good", 1), ("good", 3)]
    assert errors[1] is errors[3] is None
    assert errors[0] == errors[2]
    assert ("no pixels" if scene == "bad" else "given up after 0.2 seconds") in errors[0]


def test_the_blocks_of_a_scene_share_its_time(tmp_path):
    begun, errors = done(lambda row: tmp_path / row["scene_id"], *["steady"] * 6, "good")
    assert 1 <= len(begun) - 1 <= 3  # a busy machine stretches each
    assert begun[-1] == ("good", 6)
    assert errors[0] is errors[-1] is None
    assert all("given up after 0.2 seconds" in error for error in errors[3:6])


def test_a_row_that_is_done_again_counts_once(tmp_path):
    steady = {"scene_id": "steady", "number": 0}
    for _ in range(6):
        found = pd.concat(
            each_row(iter([pd.DataFrame([steady])]), partial(work, []), DECODED, LIMITS, lambda _: tmp_path)
        )
        assert found["error"].tolist() == [None]


def test_without_a_shared_folder_each_row_is_tried(tmp_path):
    begun, errors = done(None, "bad", "bad")
    assert len(begun) == 2
    assert all(errors)


def test_a_shared_folder_that_cannot_be_written_changes_nothing(tmp_path):
    (tmp_path / "file").touch()
    begun, errors = done(lambda row: tmp_path / "file" / row["scene_id"], "bad", "good")
    assert len(begun) == 2
    assert "no pixels" in errors[0]
    assert errors[1] is None
