import csv
import json

import numpy as np
import pytest
from chip_factory import write_chips

from labeling.errors import ConfigError
from training.card import read_model_card
from training.checkpoints import latest
from training.chips import ChipStore
from training.config import TrainConfig
from training.fit import run
from training.metrics import confusion_matrix, scores
from training.predict import Predictor

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def chips(tmp_path_factory):
    return write_chips(tmp_path_factory.mktemp("chips"), train=6, val=3, size=32)


def config(chips, out, **changed):
    small = {"depth": 2, "width": 4, "batch_size": 4, "epochs": 2, "learning_rate": 0.01}
    return TrainConfig.model_validate({"chips": chips, "out": out} | small | changed)


def arrays(out):
    found = latest(out)
    return found.weights + found.optimizer


def assert_same_training(first, second):
    for one, other in zip(arrays(first), arrays(second), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-7)


@pytest.fixture(scope="module")
def trained(chips, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained") / "model"
    run(config(chips, out, epochs=12, batch_size=1))
    return out


def test_a_training_learns_what_the_classes_are(trained):
    card = read_model_card(trained)
    assert card.metrics["mean_iou"] > 0.7
    assert card.epochs_run == 12
    assert card.world_size == 1


def test_the_card_holds_the_scores_of_the_model_that_was_kept(trained, chips):
    store = ChipStore(chips, "val")
    found = [store[index] for index in range(len(store))]
    predictor = Predictor.load(trained)
    predicted = predictor.predict(np.stack([chip.image for chip in found])).argmax(axis=-1)
    matrix = confusion_matrix(np.stack([chip.label for chip in found]), predicted.astype(np.uint8))
    card = read_model_card(trained)
    assert scores(matrix).mean_iou == pytest.approx(card.metrics["mean_iou"], abs=1e-3)


def test_history_has_a_line_an_epoch_and_the_best_is_the_cards(trained):
    with (trained / "history.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [int(row["epoch"]) for row in rows] == list(range(1, 13))
    best = max(rows, key=lambda row: float(row["mean_iou"]))
    assert int(best["epoch"]) == read_model_card(trained).best_epoch
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    assert float(rows[0]["chips_per_second"]) > 0
    assert list((trained / "tensorboard").iterdir())


def test_two_runs_of_one_seed_are_the_same_training_and_another_seed_is_not(chips, tmp_path):
    for name, seed in (("one", 5), ("again", 5), ("other", 6)):
        run(config(chips, tmp_path / name, seed=seed))
    assert_same_training(tmp_path / "one", tmp_path / "again")
    assert any(
        not np.allclose(a, b)
        for a, b in zip(arrays(tmp_path / "one"), arrays(tmp_path / "other"), strict=True)
    )


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_resumed_training_ends_as_one_that_never_stopped(chips, tmp_path, optimizer):
    # With dropout and turning: their random numbers must go on too.
    run(config(chips, tmp_path / "whole", epochs=4, optimizer=optimizer))
    run(config(chips, tmp_path / "parts", epochs=2, optimizer=optimizer))
    run(config(chips, tmp_path / "parts", epochs=4, optimizer=optimizer), resume=True)
    assert_same_training(tmp_path / "whole", tmp_path / "parts")
    whole, parts = (read_model_card(tmp_path / name) for name in ("whole", "parts"))
    assert whole == parts
    with (tmp_path / "parts" / "history.csv").open() as stream:
        assert [row["epoch"] for row in csv.DictReader(stream)] == ["1", "2", "3", "4"]


def test_resume_goes_back_to_the_last_whole_checkpoint(chips, tmp_path, capsys):
    run(config(chips, tmp_path / "whole", epochs=3))
    run(config(chips, tmp_path / "cut", epochs=3))
    newest = latest(tmp_path / "cut").file
    newest.write_bytes(newest.read_bytes()[:500])
    run(config(chips, tmp_path / "cut", epochs=3), resume=True)
    assert "epoch-0003.npz" in capsys.readouterr().err
    assert_same_training(tmp_path / "whole", tmp_path / "cut")


def test_resume_without_anything_to_go_on_from_starts_anew(chips, tmp_path):
    assert run(config(chips, tmp_path / "model", epochs=1), resume=True).epochs_run == 1


def test_a_folder_in_use_is_refused_unless_resumed_or_overwritten(chips, tmp_path):
    out = tmp_path / "model"
    run(config(chips, out))
    (out / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"already holds.*--resume.*--out.*--overwrite"):
        run(config(chips, out))
    with pytest.raises(ConfigError, match="one of them"):
        run(config(chips, out), resume=True, overwrite=True)
    card = run(config(chips, out, epochs=1, depth=1), overwrite=True)
    assert (card.epochs_run, card.depth) == (1, 1)
    assert (out / "notes.txt").exists()


def test_resume_refuses_another_network_or_other_chips(chips, tmp_path):
    out = tmp_path / "model"
    run(config(chips, out))
    other = write_chips(tmp_path / "other", seed=9)
    with pytest.raises(ConfigError, match="width was 4, now 8"):
        run(config(chips, out, width=8), resume=True)
    with pytest.raises(ConfigError, match="chips was"):
        run(config(other, out), resume=True)


def test_a_new_learning_rate_counts_after_a_resume(chips, tmp_path):
    run(config(chips, tmp_path / "model", optimizer="sgd"))
    before = latest(tmp_path / "model").weights
    slow = config(chips, tmp_path / "model", optimizer="sgd", epochs=3, learning_rate=1e-12)
    assert run(slow, resume=True).learning_rate == 1e-12
    for one, other in zip(before, latest(tmp_path / "model").weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9)


def test_without_validation_chips_the_last_epoch_is_kept(tmp_path):
    chips = write_chips(tmp_path / "chips", train=3, val=0)
    card = run(config(chips, tmp_path / "model"))
    assert (card.best_epoch, card.metrics) == (2, None)
    json.dumps(card.model_dump(mode="json"), allow_nan=False)


def test_chips_that_cannot_be_trained_on_are_named(tmp_path):
    empty = write_chips(tmp_path / "empty", train=0, val=2)
    with pytest.raises(ConfigError, match="train split is empty"):
        run(config(empty, tmp_path / "model"))
    with pytest.raises(ConfigError, match=r"multiple of 64 pixels, those in .* have 32"):
        run(config(write_chips(tmp_path / "small"), tmp_path / "model", depth=7))
    assert not (tmp_path / "model").exists()


def test_chips_without_any_label_do_no_harm(tmp_path):
    chips = write_chips(tmp_path / "chips", train=4, val=4, uneven=True)
    run(config(chips, tmp_path / "model", batch_size=1))
    assert all(np.isfinite(values).all() for values in arrays(tmp_path / "model"))
