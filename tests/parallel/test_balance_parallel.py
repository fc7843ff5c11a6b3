"""However a batch is shared out over two ranks, they learn what one process does with all of it."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from chip_factory import write_chips
from ranks import horovodrun, train

from training.checkpoints import checkpoint_files, latest
from training.config import TrainConfig
from training.fit import run

pytestmark = pytest.mark.parallel

EXACT = {"optimizer": "sgd", "learning_rate": 0.1, "dropout": (0.0, 0.0)}
CASES = {
    "uneven": {"balance": (3, 1)},
    "second-is-empty": {"balance": (1, 0)},
    "first-is-empty": {"balance": (0, 1)},
    "uneven-accumulated": {"balance": (3, 1), "batch_size": 1, "accumulate": 2},
    "uneven-dice": {"balance": (1, 3), "loss": "dice", "class_weights": (0.5, 2.0, 1.5)},
}
"""What each run changes. The chips' ignored shares lie between none and all; the last batch is not full."""


def settings(chips, out, **changed):
    base = {"chips": chips, "out": out, "batch_size": 2, "epochs": 3, "depth": 2, "width": 4}
    return TrainConfig.model_validate(base | EXACT | changed)


@pytest.fixture(scope="module")
def chips(tmp_path_factory):
    return write_chips(tmp_path_factory.mktemp("chips"), train=7, val=3, size=16, uneven=True)


@pytest.fixture(scope="module")
def together(chips, tmp_path_factory):
    """Return the folder with a model folder of two ranks for each case."""
    folder = tmp_path_factory.mktemp("together")
    runs = [settings(chips, folder / name, threads=1, **changed) for name, changed in CASES.items()]
    (folder / "configs.json").write_text(json.dumps([config.model_dump(mode="json") for config in runs]))
    script = Path(__file__).with_name("runs.py")
    ended = horovodrun(2, sys.executable, script, folder / "configs.json", timeout=240)
    assert ended.code == 0, ended.output
    return folder


def assert_same_training(one, other, *, weights, loss):
    for a, b in zip(one.weights, other.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=weights)
    for a, b in zip(one.state.history, other.state.history, strict=True):
        assert b["loss"] == pytest.approx(a["loss"], rel=loss)
        assert b["val_loss"] == pytest.approx(a["val_loss"], rel=loss)


@pytest.fixture(scope="module")
def alone(chips, tmp_path_factory):
    """Return a function that trains one process with the whole batch, once for each loss."""
    folder = tmp_path_factory.mktemp("alone")

    def trained(**changed):
        out = folder / changed.get("loss", "crossentropy")
        if not out.exists():
            run(settings(chips, out, **changed | {"balance": "equal", "batch_size": 4, "accumulate": 1}))
        return latest(out)

    return trained


@pytest.mark.parametrize("case", CASES)
def test_unequal_ranks_learn_what_one_does_with_the_whole_batch(alone, together, case):
    assert_same_training(alone(**CASES[case]), latest(together / case), weights=1e-6, loss=1e-5)


def test_shares_follow_a_rank_that_is_three_times_slower(tmp_path):
    chips = write_chips(tmp_path / "chips", train=64, val=5, size=16, uneven=True)
    config = settings(chips, tmp_path / "both", batch_size=8, epochs=6, balance="auto", threads=1)
    (tmp_path / "config.json").write_text(config.model_dump_json())
    script = Path(__file__).with_name("slowed.py")
    command = [sys.executable, script, tmp_path / "config.json", tmp_path, 0.02, 0.06]
    ended = horovodrun(2, *command, timeout=200)
    assert ended.code == 0, ended.output
    first, second = (json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in range(2))
    assert first == second
    assert sum(first) == 16
    assert 10 <= first[0] <= 13
    assert "shares of an update are now" in ended.output
    run(settings(chips, tmp_path / "alone", batch_size=16, epochs=6))
    assert_same_training(latest(tmp_path / "alone"), latest(tmp_path / "both"), weights=1e-5, loss=1e-4)


def test_given_shares_resume_in_the_middle_of_an_epoch_to_the_same_weights(chips, tmp_path):
    # Adam, dropout and turning: all random numbers must go on, for each rank after another number of passes.
    given = {"balance": [3, 1], "batch_size": 1, "accumulate": 2, "epochs": 3, "checkpoint_steps": 1}
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(given | {"depth": 2, "width": 4, "threads": 1}))
    out = tmp_path / "model"
    flags = ["--config", tmp_path / "train.yaml", "--chips", chips, "--out", out]
    ended = train(*flags)
    assert ended.code == 0, ended.output
    whole = latest(out)
    shutil.copytree(out, tmp_path / "whole")
    checkpoint_files(out)[-1].unlink()
    ended = train(*flags, "--resume")
    assert ended.code == 0, ended.output
    assert "4 of 7 chips of the next" in ended.output
    found = latest(out)
    for one, other in zip(whole.weights + whole.optimizer, found.weights + found.optimizer, strict=True):
        np.testing.assert_array_equal(one, other)


def test_shares_for_another_number_of_ranks_end_both_with_one_message(chips, tmp_path):
    (tmp_path / "train.yaml").write_text(yaml.safe_dump({"balance": [3, 1, 1], "depth": 2}))
    flags = ["--config", tmp_path / "train.yaml", "--chips", chips, "--out", tmp_path / "model"]
    ended = train(*flags)
    assert ended.code != 0
    assert ended.output.count("balance has 3 shares for 2 ranks") == 1, ended.output
    assert not (tmp_path / "model").exists()
