"""The same trainer names whole chips."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from chip_factory import write_chips, write_kind_chips

import jobs.sieve
from labeling.chips.card import read_card
from labeling.chips.kinds import ChipKind
from labeling.errors import ConfigError
from training.data.store import ChipStore
from training.fit import run
from training.folder.card import read_model_card
from training.network.losses import balanced_weights
from training.predict import Predictor
from training.prepare import class_weights, open_splits
from training.settings.config import TrainConfig

KINDS = [kind.name.lower() for kind in ChipKind]


def config(chips, out, **changed):
    small = {"task": "classify", "width": 8, "batch_size": 4, "dropout": (0.0,), "learning_rate": 0.001}
    return TrainConfig.model_validate({"chips": chips, "out": out} | small | changed)


@pytest.fixture(scope="module")
def chips(tmp_path_factory):
    kinds = [*range(5)]
    return write_kind_chips(tmp_path_factory.mktemp("chips"), train=[*kinds * 5, 255], val=kinds * 4, size=32)


@pytest.fixture(scope="module")
def model(chips, tmp_path_factory):
    """Return a model folder that knows the kinds."""
    out = tmp_path_factory.mktemp("trained") / "model"
    run(config(chips, out, epochs=25, schedule="cosine"))
    return out


@pytest.mark.slow
def test_a_training_learns_the_kinds_and_keeps_their_scores(chips, model):
    out = model
    card = read_model_card(out, "classify")
    # Of five equally many kinds a guess gets 0.2 right.
    assert card.metrics["accuracy"] > 0.7
    assert card.metrics["mean_iou"] > 0.5
    assert card.metrics["pixels"] == 20
    assert set(card.metrics["classes"]) == set(KINDS)
    assert list(card.classes.values()) == [kind.title for kind in ChipKind]
    assert (card.depth, card.multiple) == (None, 1)
    with (out / "history.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {f"recall_{name}" for name in KINDS} <= rows[0].keys()
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    store = ChipStore(chips, "val", "classify")
    images, labels = (np.stack(each) for each in zip(*(store[i] for i in range(20)), strict=True))
    predicted = Predictor.load(out, batch=8).predict(images).argmax(axis=-1)
    assert np.mean(predicted == labels) == pytest.approx(card.metrics["accuracy"])


@pytest.mark.slow
def test_from_kinds_to_a_model_of_the_pixels_that_are_left(chips, model, tmp_path):
    file = Path(jobs.sieve.__file__).parent / "conf" / "sieve.yaml"
    flags = ["--config", file, "--chips", chips, "--model", model, "--out", tmp_path / "sieved"]
    assert jobs.sieve.main(list(map(str, flags))) == 0
    store = ChipStore(tmp_path / "sieved", "train", "classify")
    left = [int(store[index].label[0, 0]) for index in range(len(store))]
    # Of 26 chips 5 are cloud, and one more could be.
    assert left.count(ChipKind.CLOUD) <= 1
    assert len(left) >= 17
    small = {"depth": 2, "width": 4, "batch_size": 4, "epochs": 1}
    card = run(TrainConfig.model_validate({"chips": tmp_path / "sieved", "out": tmp_path / "model"} | small))
    assert card.chips_digest == read_card(tmp_path / "sieved").digest


@pytest.mark.slow
def test_half_precision_and_resume_work_as_for_pixels(chips, tmp_path):
    half = {"precision": "bfloat16", "epochs": 2, "class_weights": "balanced"}
    run(config(chips, tmp_path / "model", **half | {"epochs": 1}))
    card = run(config(chips, tmp_path / "model", **half), resume=True)
    assert (card.epochs_run, card.precision) == (2, "bfloat16")
    with pytest.raises(ConfigError, match="task was 'classify', now 'segment'"):
        run(config(chips, tmp_path / "model", task="segment", dropout=None), resume=True)


def test_weights_follow_the_kinds_of_the_training_chips(tmp_path):
    chips = write_kind_chips(tmp_path, train=[0, 0, 0, 3, 255], size=16)
    train, val = open_splits(config(chips, tmp_path / "model"))
    assert train.class_counts == (3, 0, 0, 1, 0)
    assert val.class_counts == (0, 0, 0, 0, 0)
    balanced = config(chips, tmp_path / "model", class_weights="balanced")
    assert class_weights(balanced, train) == balanced_weights((3, 0, 0, 1, 0))


@pytest.mark.parametrize("kinds", [[0, 0, 255], [255]])
def test_chips_of_one_kind_are_refused(tmp_path, kinds):
    chips = write_kind_chips(tmp_path, train=kinds, size=16)
    with pytest.raises(ConfigError, match="all of one kind"):
        open_splits(config(chips, tmp_path / "model", absent_classes="allow"))


def test_chips_without_the_columns_that_kinds_follow_from_are_named(tmp_path):
    import pyarrow.parquet as pq

    chips = write_chips(tmp_path, train=1, val=0, size=16)
    file = chips / "split=train" / "train-scene-000.parquet"
    pq.write_table(pq.read_table(file).drop_columns(["ignore_fraction"]), file)
    with pytest.raises(ConfigError, match=r"cannot read chips from .*ignore_fraction"):
        ChipStore(chips, "train", "classify")
    assert len(ChipStore(chips, "train")) == json.loads((chips / "chips.json").read_text())["counts"]["train"]
