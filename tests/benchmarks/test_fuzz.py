"""The fuzzing command finds nothing in our openers, and finds what broken ones do."""

import json
import os
import struct
import time
from pathlib import Path

import pytest

from benchmarks.fuzz import damaged, fuzz, main
from benchmarks.fuzzing.examples import Example
from benchmarks.fuzzing.mutation import JSON
from benchmarks.fuzzing.pixels import write_stack
from labeling.errors import ConfigError, SceneError
from labeling.scenes.open import open_scene


def test_some_seconds_find_nothing_and_every_kind_is_tried(tmp_path, capsys):
    assert main(["--seconds", "3", "--seed", "5", "--keep", str(tmp_path / "found")]) == 0
    _, *rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 15
    for row in rows:
        tried, opened, refused, findings, _ = map(int, row[18:].split())
        assert (tried > 0, opened + refused, findings) == (True, tried, 0)
    assert not (tmp_path / "found").exists()


def careful(file):
    """Refuse what is not the example; what a broken opener does instead is done by `broken`."""
    if file.read_text(errors="replace") != json.dumps({"id": 1}):
        raise ConfigError("refused")


def raises(file):
    raise KeyError(file.name)


def exits(file):
    os._exit(3)


def hangs(file):
    time.sleep(60)


def spins(file):
    while True:
        pass


def works_slowly(file):
    """Sleep three times as long as is allowed, as what works for a moment does on a busy machine."""
    time.sleep(3)


def writes_beside(file):
    Path("relative").write_text("")


def writes_elsewhere(file):
    (file.parents[2] / "elsewhere").write_text("")


def swallowed(file):
    try:
        (file.parents[2] / "elsewhere").mkdir()
    except OSError as error:
        raise ConfigError("a refusal that hides it") from error


def tried(tmp_path, act):
    """Fuzz an opener that does `act` with every file but the valid one."""
    inside = tmp_path / "temporary" / "inside"
    inside.mkdir(parents=True)
    file = inside / "example.json"
    file.write_text(json.dumps({"id": 1}))

    def opener():
        try:
            careful(file)
        except ConfigError:
            if act is None:
                raise
            act(file)

    example = Example("broken", file, JSON, opener)
    keep = tmp_path / "keep"
    tallies = fuzz([example], inside, seconds=0, seed=0, keep=keep, patience=1.0)
    return tallies["broken"].outcomes, keep, example


def test_a_refusal_is_right(tmp_path):
    outcomes, keep, _ = tried(tmp_path, None)
    assert outcomes == {"refused": 1}
    assert not keep.exists()


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (raises, "KeyError: 'example.json'"),
        (exits, "ended the process (exit code 3)"),
        (hangs, "took longer than 1 s"),
        (spins, "took longer than 1 s"),
        (writes_beside, "beside/relative"),
        (writes_elsewhere, "elsewhere"),
        (swallowed, "elsewhere"),
    ],
)
def test_a_broken_opener_is_found_with_the_seed_and_its_input(tmp_path, capsys, act, words):
    outcomes, keep, example = tried(tmp_path, act)
    assert outcomes == {"finding": 1}
    told = capsys.readouterr().out
    assert "seed 0, number 0" in told
    assert words in told
    [kept] = keep.iterdir()
    assert kept.read_bytes() == damaged(example, example.file.read_bytes(), 0, 0)
    assert not (tmp_path / "elsewhere").exists()


def test_a_busy_machine_is_no_finding(tmp_path):
    outcomes, _, _ = tried(tmp_path, works_slowly)
    assert outcomes == {"opened": 1}


def test_an_example_that_does_not_open_is_no_example(tmp_path):
    file = tmp_path / "inside" / "example.json"
    file.parent.mkdir()
    file.write_text("{}")
    example = Example("broken", file, JSON, lambda: raises(file))
    with pytest.raises(RuntimeError, match="no example"):
        fuzz([example], file.parent, seconds=0, seed=0, keep=tmp_path / "keep")


def test_what_gdal_says_only_when_it_is_asked_for_a_fact_is_told(tmp_path):
    """Found by an hour of it: colours are asked for, and the place turns out to be damaged."""
    path = write_stack(tmp_path / "stack.tif", 60)
    content = bytearray(path.read_bytes())
    # In a tag's entry four bytes are its number and type, four how many values it has, four where they lie.
    scale, words = (content.rindex(struct.pack("<HH", *tag)) for tag in ((33550, 12), (34737, 2)))
    content[scale + 5], content[words + 11] = 4, 255
    path.write_bytes(content.replace(b"description", b"descriptio_"))
    with pytest.raises(SceneError, match=r"stack\.tif is damaged: .*GeoAsciiParams"), open_scene(str(path)):
        pass
