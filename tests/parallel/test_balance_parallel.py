"""Shares of a batch that follow the ranks' speed, or are given, and change nothing of what is learned."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from chip_factory import write_chips
from ranks import horovodrun, train

from training.fit import run
from training.folder.checkpoints import checkpoint_files, latest
from training.settings.config import TrainConfig

pytestmark = pytest.mark.parallel

EXACT = {"optimizer": "sgd", "learning_rate": 0.1, "dropout": (0.0, 0.0)}


def settings(chips, out, **changed):
    base = {"chips": chips, "out": out, "batch_size": 2, "epochs": 3, "depth": 2, "width": 4}
    return TrainConfig.model_validate(base | EXACT | changed)


@pytest.fixture(scope="module")
def chips(tmp_path_factory):
    return write_chips(tmp_path_factory.mktemp("chips"), train=7, val=3, size=16, uneven=True)


def assert_same_training(one, other, *, weights, loss):
    for a, b in zip(one.weights, other.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=weights)
    for a, b in zip(one.state.history, other.state.history, strict=True):
        assert b["loss"] == pytest.approx(a["loss"], rel=loss)
        assert b["val_loss"] == pytest.approx(a["val_loss"], rel=loss)


def test_shares_follow_a_rank_that_is_three_times_slower(tmp_path):
    chips = write_chips(tmp_path / "chips", train=64, val=5, size=16, uneven=True)
    config = settings(chips, tmp_path / "both", batch_size=8, epochs=6, balance="auto", threads=1)
    (tmp_path / "config.json").write_text(config.model_dump_json())
    script = Path(__file__).with_name("slowed.py")
    command = [sys.executable, script, tmp_path / "config.json", tmp_path, 0.02, 0.06]
    ended = horovodrun(2, *command)
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
