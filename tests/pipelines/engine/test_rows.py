"""Rows of a scene that has failed are not begun; those of others are."""

import time
from functools import partial

import pandas as pd
import pytest

from labeling.errors import SceneError
from labeling.masks.limits import LimitSettings
from pipelines.engine.rows import each_row
from pipelines.schemas import DECODED

LIMITS = LimitSettings(seconds=0.2)


def rows(*scenes):
    return pd.DataFrame([{"scene_id": scene, "number": number} for number, scene in enumerate(scenes)])


def work(begun, row):
    """Fail in the first block of `bad`, be late in that of `slow`."""
    begun.append((row["scene_id"], row["number"]))
    if row["scene_id"] == "bad":
        raise SceneError("no pixels in it.")
    if row["scene_id"] == "slow":
        time.sleep(2)
    return {"states": [row["number"]]}


def done(mark, *scenes):
    """Return which rows were begun, and the errors by row."""
    begun = []
    found = pd.concat(each_row(iter([rows(*scenes)]), partial(work, begun), DECODED, LIMITS, mark))
    return begun, found["error"].tolist()


@pytest.mark.parametrize("scene", ["bad", "slow"])
def test_of_a_scene_that_has_failed_no_block_is_begun(tmp_path, scene):
    begun, errors = done(lambda row: tmp_path / row["scene_id"] / "failed.txt", scene, "good", scene, "good")
    assert begun == [(scene, 0), ("good", 1), ("good", 3)]
    assert errors[1] is errors[3] is None
    assert errors[0] == errors[2]
    assert ("no pixels" if scene == "bad" else "given up after 0.2 seconds") in errors[0]


def test_without_a_mark_each_row_is_tried(tmp_path):
    begun, errors = done(None, "bad", "bad")
    assert len(begun) == 2
    assert all(errors)


def test_a_mark_that_cannot_be_written_changes_nothing(tmp_path):
    (tmp_path / "file").touch()
    begun, errors = done(lambda row: tmp_path / "file" / row["scene_id"], "bad", "good")
    assert len(begun) == 2
    assert "no pixels" in errors[0]
    assert errors[1] is None
