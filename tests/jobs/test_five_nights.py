"""Five nights of an archive, with whatever may happen to them: at the end all is as if nothing had."""

import hashlib
import json
import signal

import numpy as np
import pytest
from map_runs import plain_probabilities, read_map
from sites import Archive, assert_nothing_half_written, assert_true

pytestmark = pytest.mark.slow

KILLED = -signal.SIGKILL

TRAIN = {"epochs": 12, "batch_size": 4, "learning_rate": 0.01, "threads": 1, "keep": "last", "patience": None}
TRAIN |= {"absent_classes": "allow", "augment": False, "checkpoint_steps": 3, "gpus": "none"}

WORSE = TRAIN | {"class_weights": [1000.0, 0.001, 0.001]}
"""Everything is water to a network that learns by these."""


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return Archive(tmp_path_factory.mktemp("nights"))


def digest(archive):
    return hashlib.sha256((archive.out / "current/model.keras").read_bytes()).hexdigest()


def test_the_first_night_is_killed_while_it_labels_and_while_it_maps(archive):
    for seed, name in enumerate("abcde"):
        archive.scene(name, seed)
    archive.configure(train=TRAIN)
    for place in ("label", "map"):
        code, said = archive.killed_night(place)
        assert code == KILLED, said
        assert archive.status()["state"] == "running"
    code, said = archive.night()
    assert code == 0, said
    assert "night 3: 5 scenes, 5 new" in said, "two were killed before"
    status = archive.status()
    assert status["notes"] == ["night 2 ended without a word in step map; this one goes on"]
    series = assert_true(archive)
    assert sorted(series) == list("abcde")
    assert {line["model"] for line in series.values()} == {digest(archive)}
    probabilities = plain_probabilities(archive.out / "current", archive.scenes / "a.tif")
    np.testing.assert_array_equal(read_map(archive.out / "run", "a"), probabilities.argmax(-1))
    assert (archive.out / "run/report/index.html").is_file()
    assert_nothing_half_written(archive)


def test_the_second_night_finds_a_new_scene_a_replaced_one_and_a_damaged_one(archive):
    before = archive.series()
    archive.scene("f", 6)
    archive.scene("b", 7)
    archive.damage("c")
    for place in ("evaluate", "series", "report"):
        code, said = archive.killed_night(place)
        assert code == KILLED, said
    code, said = archive.night()
    assert code == 3, said
    series = assert_true(archive)
    assert sorted(series) == list("abcdef")
    assert (series["b"]["states"], series["c"]["state"]) == (2, "failed")
    assert "c.tif" in series["c"]["reason"]
    assert {name: series[name]["identity"] for name in "acde"} == {
        name: before[name]["identity"] for name in "acde"
    }
    assert series["b"]["identity"] != before["b"]["identity"]
    assert series["a"] == before["a"]
    status = archive.status()
    assert (status["new"], status["replaced"], list(status["failed"])) == (["f"], ["b"], ["c"])
    assert status["failed_first"] == ["c"]
    assert "c.tif" in (archive.out / "index.html").read_text()


def test_the_third_night_trains_a_better_model_whatever_kills_it(archive):
    archive.scene("c", 2)
    first = digest(archive)
    for place in ("train", "judge", "link", "record"):
        code, said = archive.killed_night(place, "--train-when", "1 scene")
        assert code == KILLED, said
        assert digest(archive) in (first, *archive_digests(archive))
    code, said = archive.night("--train-when", "1 scene")
    assert code == 0, said
    trained = json.loads((archive.out / "trained.json").read_text())
    assert trained["verdict"]["keep"]
    assert trained["verdict"]["after"] > trained["verdict"]["before"]
    assert digest(archive) == trained["verdict"]["digest"] != first
    assert (archive.out / "current").resolve().name == "0002"
    assert sorted(path.name for path in (archive.out / "models").iterdir()) == ["0001", "0002"]
    assert_nothing_half_written(archive)


def archive_digests(archive):
    files = (archive.out / "models").glob("*/model.keras")
    return {hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_the_fourth_night_maps_with_it_and_drops_a_worse_successor(archive):
    archive.scene("g", 8)
    archive.configure(train=WORSE)
    second = digest(archive)
    code, said = archive.night("--train-when", "1 scene")
    assert code == 0, said
    assert "a successor was dropped, for it is worse on held-out chips" in said
    assert digest(archive) == second
    series = assert_true(archive)
    assert sorted(series) == list("abcdefg")
    assert {line["model"] for line in series.values()} == {second}
    trained = json.loads((archive.out / "trained.json").read_text())
    assert trained["verdict"]["after"] < trained["verdict"]["before"]
    assert_nothing_half_written(archive)


def test_the_fifth_night_loses_a_scene_and_goes_back_to_the_first_model(archive):
    (archive.scenes / "d.tif").unlink()
    code, said = archive.night("--go-back")
    assert code == 0, said
    for place in ("retention", "end"):
        code, said = archive.killed_night(place)
        assert code == KILLED, said
    code, said = archive.night()
    assert code == 0, said
    series = assert_true(archive, vanished="d")
    assert sorted(series) == list("abcdefg")
    assert len({line["model"] for line in series.values() if line["state"] == "good"}) == 1
    assert series["a"]["model"] == digest(archive)
    nights = sorted(int(path.stem) for path in (archive.out / "nights").iterdir())
    assert nights == sorted(set(nights))
    assert_nothing_half_written(archive)
