import json

import pytest
from model_factory import KINDS, make_card

from labeling.errors import ModelError
from training.folder.card import MODEL_FILE, read_model_card, write_model_card


def test_a_card_comes_back_as_it_was_written(tmp_path):
    card = make_card()
    write_model_card(tmp_path, card)
    (tmp_path / MODEL_FILE).touch()
    assert read_model_card(tmp_path) == card
    assert card.multiple == 4


def test_a_card_tells_a_reader_without_our_code_what_the_model_is(tmp_path):
    write_model_card(tmp_path, make_card())
    content = json.loads((tmp_path / "model.json").read_text())
    assert content["format"] == "polynya-model-1"
    assert content["classes"] == {"0": "open water", "1": "thin ice", "2": "thick ice"}
    assert {"python", "numpy", "tensorflow", "keras", "horovod", "polynya"} <= content["versions"].keys()


def test_a_card_from_before_there_were_tasks_is_one_of_pixels(tmp_path):
    content = make_card().model_dump(mode="json")
    del content["task"]
    (tmp_path / "model.json").write_text(json.dumps(content))
    (tmp_path / MODEL_FILE).touch()
    assert read_model_card(tmp_path).task == "segment"


def test_a_model_of_whole_chips_takes_any_size():
    assert make_card(**KINDS).multiple == 1


def test_what_is_no_finished_model_is_named_with_the_way_out(tmp_path):
    with pytest.raises(ModelError, match=r"no model folder .*jobs.train"):
        read_model_card(tmp_path / "nowhere")
    with pytest.raises(ModelError, match=r"no model.json.*jobs.train"):
        read_model_card(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(ModelError, match="--resume"):
        read_model_card(tmp_path)
    write_model_card(tmp_path, make_card())
    with pytest.raises(ModelError, match=r"no model\.keras"):
        read_model_card(tmp_path)


@pytest.mark.parametrize("content", ["", "{}", '{"format": "polynya-model-2"}', "\x00"])
def test_an_unreadable_card_is_named(tmp_path, content):
    (tmp_path / "model.json").write_text(content)
    with pytest.raises(ModelError, match="not a model card this version can read"):
        read_model_card(tmp_path)
