"""A folder of chips is known to have passed only where nothing about it can have changed since."""

import os
import shutil

import pytest
from chip_factory import write_chips

from labeling.chips import passed
from labeling.chips.card import read_card
from labeling.chips.passed import PASSED, has_passed, look_at_chips, note_passed


@pytest.fixture
def chips(tmp_path, monkeypatch):
    monkeypatch.setattr(passed, "FRESH_NS", 0)
    return write_chips(tmp_path / "chips", train=6, val=3, test=3)


def look(chips, checks="segment"):
    return look_at_chips(chips, read_card(chips), checks)


def file_of(chips, split="test"):
    return next(chips.glob(f"split={split}/*.parquet"))


def test_a_folder_that_passed_is_known_until_something_changes(chips):
    assert not has_passed(chips, look(chips))
    note_passed(chips, look(chips))
    assert has_passed(chips, look(chips))
    assert not has_passed(chips, look(chips, "classify"))


def damage(file):
    """Change a byte, and set the times that can be set back to what they were."""
    state, content = file.stat(), bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    with file.open("r+b") as opened:
        opened.write(content)
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))


def replace(file):
    """Put another file of the same content and times in a file's place."""
    other = file.with_name("other")
    shutil.copy2(file, other)
    other.replace(file)


def rename(file):
    file.rename(file.with_name("aaa.parquet"))


def add(file):
    shutil.copy(file, file.with_name("zzz.parquet"))


@pytest.mark.parametrize("change", [damage, replace, rename, add, os.unlink])
def test_files_that_changed_have_not_passed(chips, change):
    note_passed(chips, look(chips))
    change(file_of(chips))
    assert not has_passed(chips, look(chips))


def test_another_card_has_not_passed(chips):
    note_passed(chips, look(chips))
    text = (chips / "chips.json").read_text()
    (chips / "chips.json").write_text(text.replace('"gap": 0', '"gap": 1'))
    assert not has_passed(chips, look(chips))


def test_a_copy_has_not_passed(chips, tmp_path):
    note_passed(chips, look(chips))
    copy = shutil.copytree(chips, tmp_path / "copy")
    assert (copy / PASSED).exists()
    assert not has_passed(copy, look(copy))


def test_files_of_a_moment_ago_are_not_looked_at_from_outside(chips, monkeypatch):
    note_passed(chips, look(chips))
    monkeypatch.setattr(passed, "FRESH_NS", 3_600 * 10**9)
    assert look(chips) is None
    assert not has_passed(chips, None)


@pytest.mark.parametrize("content", [b"", b"no digest", b"\xff" * 64, b"0" * 10**6])
def test_a_note_that_is_none_counts_as_absent(chips, content):
    (chips / PASSED).write_bytes(content)
    assert not has_passed(chips, look(chips))
    note_passed(chips, look(chips))
    assert has_passed(chips, look(chips))


def test_a_note_with_more_in_it_is_none(chips):
    (chips / PASSED).write_text(look(chips) + "0")
    assert not has_passed(chips, look(chips))


def test_a_pipe_for_a_note_keeps_nobody_waiting(chips):
    os.mkfifo(chips / PASSED)
    assert not has_passed(chips, look(chips))


def test_where_nothing_can_be_written_nothing_is_noted(chips):
    (chips / PASSED).mkdir()
    (chips / PASSED / "inside").touch()
    note_passed(chips, look(chips))
    assert not has_passed(chips, look(chips))


def test_files_that_cannot_be_looked_at_have_no_look(chips):
    file_of(chips).with_name("zzz.parquet").symlink_to("nowhere")
    assert look(chips) is None


def test_a_note_by_somebody_else_counts_for_nothing(chips):
    if os.geteuid() != 0:
        pytest.skip("a file of another user takes root")
    note_passed(chips, look(chips))
    os.chown(chips / PASSED, 65_534, -1)
    assert not has_passed(chips, look(chips))
