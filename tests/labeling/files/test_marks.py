"""Marks of finished files: what was touched is looked at again, what is no mark counts as absent."""

import json
import os
import time

import pytest

from labeling.errors import SceneError
from labeling.files.layout import DONE, finished_file, is_done, read_done, write_done
from labeling.files.marks import digest_of, is_intact, mark_of

INPUTS = {"uri": "/a.tif"}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "labels.tif").write_bytes(b"classes")
    time.sleep(0.02)  # a file system's clock has ticks
    write_done(tmp_path, INPUTS, ["labels.tif"], pixels={"water": 7}, doubts=[{"code": "x", "text": "odd"}])
    return tmp_path


def test_a_finished_folder_is_done_and_read_no_more(folder, monkeypatch):
    monkeypatch.setattr("labeling.files.marks.digest_of", lambda path: pytest.fail(f"{path} was read"))
    assert is_done(folder, INPUTS, ["labels.tif"])


@pytest.mark.parametrize("content", [b"other c", b"", b"longer than before"])
def test_a_file_that_was_changed_is_not_done_whatever_its_times(folder, content):
    file, times = folder / "labels.tif", (folder / "labels.tif").stat()
    file.write_bytes(content)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert not is_done(folder, INPUTS, ["labels.tif"])
    with pytest.raises(SceneError, match="is not the file that was finished there"):
        finished_file(folder, "labels.tif")


def test_a_copy_of_a_folder_is_done(folder, tmp_path_factory):
    copy = tmp_path_factory.mktemp("copy")
    for name in (DONE, "labels.tif"):  # the mark first, so that the file is newer
        (copy / name).write_bytes((folder / name).read_bytes())
    assert is_done(copy, INPUTS, ["labels.tif"])
    assert finished_file(copy, "labels.tif") == copy / "labels.tif"


def test_a_file_that_is_gone_or_was_never_marked_is_not_done(folder):
    assert not is_done(folder, INPUTS, ["labels.tif", "quicklook.png"])
    (folder / "labels.tif").unlink()
    assert not is_done(folder, INPUTS, ["labels.tif"])
    assert not is_intact(folder / "labels.tif", {"bytes": 7})


@pytest.mark.parametrize(
    "changed",
    [
        {"inputs": []},
        {"files": "labels.tif"},
        {"files": [1]},
        {"outputs": {"labels.tif": 7}},
        {"outputs": {"labels.tif": {"bytes": "7"}}},
        {"outputs": []},
        {"pixels": {"water": -1}},
        {"pixels": {"water": "many"}},
        {"pixels": 5},
        {"excluded": {"cloud": None}},
        {"doubts": [1]},
        {"doubts": 1},
        {"pixel_area_m2": -1},
        {"pixel_area_m2": float("nan")},
        {"versions": 3},
    ],
)
def test_an_edited_mark_counts_as_absent(folder, changed):
    content = json.loads((folder / DONE).read_text())
    assert read_done(folder) == content
    (folder / DONE).write_text(json.dumps(content | changed))
    assert read_done(folder) is None


@pytest.mark.parametrize("text", [b"", b"{", b"null", b"\xff\xfe", b"[" * 100_000])
def test_an_unreadable_mark_counts_as_absent(folder, text):
    (folder / DONE).write_bytes(text)
    assert read_done(folder) is None
    assert not is_done(folder, INPUTS, ["labels.tif"])


def test_a_mark_says_size_and_digest(folder):
    file = folder / "labels.tif"
    assert mark_of(file) == {"bytes": 7, "sha256": digest_of(file)}
