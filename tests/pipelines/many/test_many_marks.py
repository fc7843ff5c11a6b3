"""What is asked of very many scenes' marks, which are read once each."""

import json

import pytest

from pipelines.many.marks import Marks

DOUBT = {"code": "dark", "text": "It is dark."}


@pytest.fixture
def folder(tmp_path):
    for scene in ("a", "b"):
        write(tmp_path, scene)
    return tmp_path


def write(folder, scene, inputs=1, labels="0", status="0", doubts=(DOUBT,)):
    outputs = {"labels.tif": {"bytes": 1, "sha256": labels}, "status.tif": {"bytes": 1, "sha256": status}}
    done = {"inputs": {"x": inputs}, "files": list(outputs), "outputs": outputs, "doubts": list(doubts)}
    (folder / scene).mkdir(exist_ok=True)
    (folder / scene / "done.json").write_text(json.dumps(done))
    return done


def of(marks, *scenes):
    return dict(marks.of_each(scenes or ("a", "b")))


def test_scenes_come_in_their_order_with_their_doubts(folder):
    found = list(Marks(folder).of_each(["b", "a"]))
    assert [scene for scene, _ in found] == ["b", "a"]
    assert [said.doubts for _, said in found] == [[DOUBT], [DOUBT]]


def test_what_was_kept_is_not_read_again(folder):
    marks = Marks(folder)
    marks.keep("a", write(folder, "a", doubts=()))
    for scene in ("a", "b"):
        write(folder, scene, inputs=2)
    found = of(marks)
    assert (found["a"].doubts, found["b"].doubts) == ([], [DOUBT])
    assert found["a"].digest != found["b"].digest == of(Marks(folder))["a"].digest


@pytest.mark.parametrize(
    ("change", "same"), [({"inputs": 2}, False), ({"labels": "1"}, False), ({"status": "1"}, True)]
)
def test_a_digest_is_that_of_inputs_and_the_files_asked_for(folder, change, same):
    before = of(Marks(folder, ["labels.tif", "clouds.tif"]))["a"].digest
    write(folder, "a", **change)
    assert (of(Marks(folder, ["labels.tif", "clouds.tif"]))["a"].digest == before) is same


def test_a_scene_without_a_mark_has_no_doubts(folder):
    (folder / "a/done.json").write_text("{")
    assert of(Marks(folder), "a", "c")["a"] == of(Marks(folder), "c")["c"]
    assert of(Marks(folder), "c")["c"].doubts == []
