import csv
import gc
import json
import os
import shutil
import signal
from functools import partial

import keras
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from chip_factory import write_chips

from labeling.errors import ConfigError
from labeling.files.locks.folder import LOCK, folder_lock
from training import fit
from training.data.batches import Trouble
from training.data.store import ChipStore
from training.errors import TrainingError
from training.fit import run
from training.folder.card import read_model_card
from training.folder.checkpoints import latest
from training.network.losses import masked_crossentropy
from training.network.metrics import confusion_matrix, scores
from training.outcome import record
from training.predict import Predictor
from training.settings.config import TrainConfig

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


@pytest.fixture(scope="module")
def plain(chips, tmp_path_factory):
    """Return a function that gives the model folder of so many epochs, trained once: look, or copy it."""
    folder = tmp_path_factory.mktemp("plain")

    def trained(epochs, **changed):
        out = folder / "-".join([str(epochs), *map(str, changed.values())])
        if not out.exists():
            run(config(chips, out, epochs=epochs, **changed))
        return out

    return trained


def copied(model, out):
    """Copy a model folder and return the copy."""
    return shutil.copytree(model, out)


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


def test_two_runs_of_one_seed_are_the_same_training_and_another_seed_is_not(chips, plain, tmp_path):
    one = plain(epochs=2)
    run(config(chips, tmp_path / "again"))
    run(config(chips, tmp_path / "other", seed=6))
    assert_same_training(one, tmp_path / "again")
    assert any(not np.allclose(a, b) for a, b in zip(arrays(one), arrays(tmp_path / "other"), strict=True))


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_resumed_training_ends_as_one_that_never_stopped(chips, plain, tmp_path, optimizer):
    # With dropout and turning: their random numbers must go on too.
    chosen = {} if optimizer == "adam" else {"optimizer": optimizer}
    whole = plain(epochs=3, **chosen)
    parts = copied(plain(epochs=2, **chosen), tmp_path / "parts")
    run(config(chips, parts, epochs=3, **chosen), resume=True)
    assert_same_training(whole, parts)
    assert read_model_card(whole) == read_model_card(parts)
    with (parts / "history.csv").open() as stream:
        assert [row["epoch"] for row in csv.DictReader(stream)] == ["1", "2", "3"]


def test_skies_and_tones_are_drawn_alike_when_a_training_is_resumed(chips, plain, tmp_path):
    drawn = {"skies": 0.8, "tones": 0.5, "brightness": 0.05}
    run(config(chips, tmp_path / "whole", epochs=3, **drawn))
    run(config(chips, tmp_path / "parts", epochs=1, **drawn))
    run(config(chips, tmp_path / "parts", epochs=3, **drawn), resume=True)
    assert_same_training(tmp_path / "whole", tmp_path / "parts")
    assert any(
        not np.allclose(a, b)
        for a, b in zip(arrays(tmp_path / "whole"), arrays(plain(epochs=3)), strict=True)
    )


def test_processes_that_feed_it_change_nothing(chips, tmp_path):
    drawn = {"skies": 0.8, "tones": 0.5, "brightness": 0.05}
    run(config(chips, tmp_path / "thread", epochs=2, **drawn))
    run(config(chips, tmp_path / "one", epochs=1, feeders=1, **drawn))
    run(config(chips, tmp_path / "one", epochs=2, feeders=3, **drawn), resume=True)
    assert not [child for child in psutil.Process().children() if "training.data.feeder" in child.cmdline()]
    assert_same_training(tmp_path / "thread", tmp_path / "one")
    cards = [read_model_card(tmp_path / name) for name in ("thread", "one")]
    assert cards[0].metrics == cards[1].metrics


def test_a_feeder_that_is_killed_ends_the_training_with_the_way_out(chips, tmp_path, monkeypatch):
    """As the kernel kills one where memory is short; what was saved is there to go on from."""

    def killed(training, state):
        if state.steps == 3:
            os.kill(training.feeders._all[0]._process.pid, signal.SIGKILL)

    monkeypatch.setattr(fit, "train", partial(fit.train, commit=killed))
    with pytest.raises(ConfigError, match=r"Killed.*feeders: 0.*--resume"):
        run(config(chips, tmp_path / "model", epochs=9, feeders=2, commit_steps=1, checkpoint_steps=1))
    assert latest(tmp_path / "model").state.steps >= 3


def test_the_last_epoch_is_kept_where_that_is_asked_for(chips, tmp_path):
    # At this rate some later epoch is worse than an earlier one.
    run(config(chips, tmp_path / "model", epochs=6, learning_rate=0.2, keep="last"))
    with (tmp_path / "model" / "history.csv").open() as stream:
        scores_by_epoch = [float(row["mean_iou"]) for row in csv.DictReader(stream)]
    card = read_model_card(tmp_path / "model")
    assert card.best_epoch == card.epochs_run == 6
    assert card.metrics["mean_iou"] == pytest.approx(scores_by_epoch[-1], abs=1e-4)


def test_resume_goes_back_to_the_last_whole_checkpoint(chips, plain, tmp_path, capsys):
    whole = plain(epochs=3)
    cut = copied(whole, tmp_path / "cut")
    newest = latest(cut).file
    newest.write_bytes(newest.read_bytes()[:500])
    run(config(chips, cut, epochs=3), resume=True)
    told = capsys.readouterr().err
    assert newest.name in told
    assert "going on after epoch 2" in told
    assert_same_training(whole, cut)


def test_resume_without_anything_to_go_on_from_starts_anew(chips, tmp_path):
    assert run(config(chips, tmp_path / "model", epochs=1), resume=True).epochs_run == 1


def test_a_folder_in_use_is_refused_unless_resumed_or_overwritten(chips, plain, tmp_path):
    out = copied(plain(epochs=2), tmp_path / "model")
    (out / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"already holds.*--resume.*--out.*--overwrite"):
        run(config(chips, out))
    with pytest.raises(ConfigError, match="one of them"):
        run(config(chips, out), resume=True, overwrite=True)
    card = run(config(chips, out, epochs=1, depth=1), overwrite=True)
    assert (card.epochs_run, card.depth) == (1, 1)
    assert (out / "notes.txt").exists()


def test_a_folder_in_which_another_training_works_is_refused(chips, tmp_path):
    with (
        folder_lock(tmp_path, "train"),
        pytest.raises(ConfigError, match=f"{tmp_path} is in use by train"),
    ):
        run(config(chips, tmp_path), overwrite=True)
    assert not list(tmp_path.iterdir())
    run(config(chips, tmp_path, epochs=1))
    assert not (tmp_path / LOCK).exists()


def test_resume_refuses_another_network_or_other_chips(chips, plain, tmp_path):
    out = copied(plain(epochs=2), tmp_path / "model")
    other = write_chips(tmp_path / "other", seed=9)
    with pytest.raises(ConfigError, match="width was 4, now 8"):
        run(config(chips, out, width=8), resume=True)
    with pytest.raises(ConfigError, match="chips was"):
        run(config(other, out), resume=True)


def test_resume_refuses_whatever_else_would_change_the_weights(chips, plain, tmp_path):
    out = copied(plain(epochs=2), tmp_path / "model")
    before = latest(out)
    changes = {"learning_rate": 0.02, "seed": 7, "batch_size": 2, "augment": False, "loss": "dice"}
    with pytest.raises(ConfigError) as refused:
        run(config(chips, out, **changes), resume=True)
    for difference in (
        "learning_rate was 0.01, now 0.02",
        "seed was 2024, now 7",
        "global_batch was 4, now 2",
        "augment was True, now False",
        "loss was 'crossentropy', now 'dice'",
    ):
        assert difference in str(refused.value)
    assert latest(out).file == before.file
    shared_out_otherwise = config(chips, out, batch_size=2, accumulate=2, checkpoint_steps=1, patience=5)
    longer = shared_out_otherwise.model_copy(update={"epochs": 3})
    assert run(longer, resume=True).epochs_run == 3


def test_accumulated_batches_learn_what_one_large_batch_does(tmp_path):
    # Shares of ignored pixels between none and all, and a last update that is not full.
    chips = write_chips(tmp_path / "chips", train=7, val=2, size=16, uneven=True)
    exact = {"optimizer": "sgd", "learning_rate": 0.1, "dropout": (0.0, 0.0)}
    run(config(chips, tmp_path / "whole", batch_size=4, **exact))
    run(config(chips, tmp_path / "parts", batch_size=1, accumulate=4, **exact))
    for one, other in zip(arrays(tmp_path / "whole"), arrays(tmp_path / "parts"), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)
    assert latest(tmp_path / "whole").state.steps == latest(tmp_path / "parts").state.steps == 4


def test_training_stops_when_it_gets_no_better_and_stays_stopped(chips, tmp_path):
    still = {"epochs": 9, "patience": 2, "learning_rate": 1e-12, "optimizer": "sgd"}
    assert run(config(chips, tmp_path / "model", **still)).epochs_run == 3
    assert run(config(chips, tmp_path / "model", **still), resume=True).epochs_run == 3


@pytest.mark.parametrize("loss", ["focal", "dice"])
def test_the_other_losses_learn_too(chips, tmp_path, loss):
    run(config(chips, tmp_path / "model", loss=loss, class_weights="balanced", epochs=6, batch_size=1))
    history = latest(tmp_path / "model").state.history
    assert history[-1]["mean_iou"] > max(0.4, history[0]["mean_iou"])


def test_the_learning_rate_follows_its_schedule(chips, tmp_path):
    plan = {"schedule": "step", "decay_epochs": (2,), "warmup_epochs": 1, "reference_batch": 2}
    run(config(chips, tmp_path / "model", epochs=3, **plan))
    rates = [row["learning_rate"] for row in latest(tmp_path / "model").state.history]
    assert rates == pytest.approx([0.02, 0.02, 0.002])


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_learns_and_leaves_a_float32_network(chips, trained, tmp_path, precision):
    out = tmp_path / "model"
    card = run(config(chips, out, epochs=12, batch_size=1, precision=precision))
    assert card.precision == precision
    # The classes are easy: what a short training in float32 reaches, give or take its luck.
    assert card.metrics["mean_iou"] > read_model_card(trained).metrics["mean_iou"] - 0.1
    found = latest(out)
    assert {values.dtype for values in found.weights} == {np.dtype(np.float32)}
    assert all(np.isfinite(values).all() for values in found.weights)
    network = keras.saving.load_model(out / "model.keras", compile=False)
    assert {layer.compute_dtype for layer in network.layers} == {"float32"}


def test_float16_resumes_with_its_loss_scale(chips, tmp_path):
    half = {"precision": "float16", "optimizer": "sgd", "learning_rate": 0.01}
    run(config(chips, tmp_path / "whole", epochs=2, **half))
    run(config(chips, tmp_path / "parts", epochs=1, **half))
    run(config(chips, tmp_path / "parts", epochs=2, **half), resume=True)
    assert_same_training(tmp_path / "whole", tmp_path / "parts")


def test_a_loss_that_is_no_number_ends_the_training_before_it_is_saved(chips, tmp_path, monkeypatch):
    def broken(labels, probabilities):
        found = masked_crossentropy(labels, probabilities)
        return found._replace(total=found.total * np.nan)

    monkeypatch.setattr("training.prepare.make_loss", lambda *_: broken)
    with pytest.raises(TrainingError, match=r"the loss is nan at update 1 of epoch 1.*learning_rate"):
        run(config(chips, tmp_path / "model", checkpoint_steps=1))
    assert latest(tmp_path / "model") is None


def test_a_run_folder_gets_a_record_of_the_training(tmp_path):
    chips = write_chips(tmp_path / "run" / "chips", train=4, val=2, size=16)
    run(config(chips, tmp_path / "elsewhere"))
    assert not (tmp_path / "run" / "jobs").exists()
    (tmp_path / "run" / "catalog.parquet").touch()
    run(config(chips, tmp_path / "run" / "model"))
    record = json.loads((tmp_path / "run" / "jobs" / "train.json").read_text())
    assert record["config"]["batch_size"] == 4
    assert record["summary"]["epochs"] == 2
    assert record["summary"]["ended"] == "finished"
    assert record["summary"]["seconds_per_step"] > 0


def test_without_validation_chips_the_last_epoch_is_kept(tmp_path, capsys):
    chips = write_chips(tmp_path / "chips", train=3, val=0)
    card = run(config(chips, tmp_path / "model"))
    assert (card.best_epoch, card.metrics) == (2, None)
    [told] = [line for line in capsys.readouterr().err.splitlines() if "no validation chips" in line]
    assert "--chip-size" in told
    json.dumps(card.model_dump(mode="json"), allow_nan=False)


def test_chips_that_cannot_be_trained_on_are_named(tmp_path):
    empty = write_chips(tmp_path / "empty", train=0, val=2)
    with pytest.raises(ConfigError, match="train split is empty"):
        run(config(empty, tmp_path / "model"))
    small = write_chips(tmp_path / "small", val=0)
    with pytest.raises(ConfigError, match=r"multiple of 64 pixels, those in .* have 32"):
        run(config(small, tmp_path / "model", depth=7))
    with pytest.raises(ConfigError, match="patience needs validation chips"):
        run(config(small, tmp_path / "model", patience=1))
    card = json.loads((small / "chips.json").read_text())
    card["class_pixels"]["train"][1] = 0
    (small / "chips.json").write_text(json.dumps(card))
    with pytest.raises(ConfigError, match=r"no training chip .* shows thin ice, .*absent_classes: allow"):
        run(config(small, tmp_path / "model"))
    assert not (tmp_path / "model").exists()


def test_chips_without_any_label_do_no_harm(tmp_path):
    chips = write_chips(tmp_path / "chips", train=4, val=4, uneven=True)
    run(config(chips, tmp_path / "model", batch_size=1))
    assert all(np.isfinite(values).all() for values in arrays(tmp_path / "model"))


def test_a_class_that_no_chip_shows_can_be_allowed(tmp_path, capsys):
    chips = write_chips(tmp_path / "chips", size=16, least=1)
    run(config(chips, tmp_path / "model", epochs=1, absent_classes="allow", class_weights="balanced"))
    assert "no training chip shows open water" in capsys.readouterr().err


def test_a_chip_of_another_size_is_found_before_the_training(tmp_path):
    chips = write_chips(tmp_path / "chips", train=6, size=16, per_file=3)
    odd = write_chips(tmp_path / "odd", train=6, size=32, per_file=3)
    tables = [pq.read_table(folder / "split=train" / "train-scene-000.parquet") for folder in (chips, odd)]
    for second in (1, 0):
        mixed = pa.concat_tables([tables[1 - second].slice(0, 1), tables[second].slice(1)])
        pq.write_table(mixed, chips / "split=train" / "train-scene-000.parquet", row_group_size=1)
        with pytest.raises(ConfigError, match="is not 16 x 16 pixels"):
            run(config(chips, tmp_path / "model", epochs=1))
        assert not (tmp_path / "model").exists()


def test_many_short_epochs_leave_nothing_of_a_networks_size_behind(tmp_path, monkeypatch):
    chips = write_chips(tmp_path / "chips", train=4, val=2, size=16)
    resident = []

    def noted(training, state):
        record(training, state)
        resident.append(psutil.Process().memory_info().rss)

    monkeypatch.setattr(fit, "record", noted)
    # 0.5 MB of weights, 1.9 MB with gradients and moments.
    run(config(chips, tmp_path / "model", epochs=50, depth=3, width=16))
    # What malloc keeps goes up and down by 3 MB; one copy of the weights an epoch would be 15.
    assert resident[-1] - resident[19] < 7e6
    gc.collect()
    # An epoch has two feeds, and each has one.
    assert sum(type(each) is Trouble for each in gc.get_objects()) <= 2  # not isinstance: dead proxies raise
