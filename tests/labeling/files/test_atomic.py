import json

import pytest

from labeling.files.atomic import replacing, write_json


def test_replacing_leaves_the_old_file_when_the_block_fails(tmp_path):
    target = tmp_path / "a.json"
    write_json(target, {"old": 1})

    def fail():
        with replacing(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        fail()
    assert json.loads(target.read_text()) == {"old": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_replacing_swaps_whole_folders(tmp_path):
    target = tmp_path / "chips"
    for content in ("one", "two"):
        with replacing(target) as temporary:
            temporary.mkdir()
            (temporary / content).touch()
    assert [path.name for path in target.iterdir()] == ["two"]


def test_a_file_gets_its_name_when_it_is_whole_and_is_not_copied_there(tmp_path):
    target = tmp_path / "a.bin"
    with replacing(target) as temporary:
        temporary.write_bytes(b"all of it")
        assert not target.exists()
        made = temporary.stat().st_ino
    assert target.stat().st_ino == made
