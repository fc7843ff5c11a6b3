"""Shares of a batch that follow the ranks' speed, or are given, and change nothing of what is learned."""

import json

import numpy as np
import pytest
from chip_factory import write_chips
from runs import write_runs

from training.fit import run
from training.folder.checkpoints import latest
from training.settings.config import TrainConfig

pytestmark = pytest.mark.parallel

EXACT = {"optimizer": "sgd", "learning_rate": 0.1, "dropout": (0.0, 0.0)}


def settings(chips, out, **changed):
    base = {"chips": chips, "out": out, "batch_size": 2, "epochs": 3, "depth": 2, "width": 4}
    return TrainConfig.model_validate(base | EXACT | changed)


def plan(folder):
    """Return the jobs of two ranks: one of ranks of different speed, and one of given shares, resumed."""
    many = write_chips(folder / "many", train=64, val=5, size=16, uneven=True)
    slowed = settings(many, folder / "both", batch_size=8, epochs=6, balance="auto", threads=1)
    (folder / "slowed.json").write_text(slowed.model_dump_json())
    few = write_chips(folder / "few", train=7, val=3, size=16, uneven=True)
    # Adam, dropout and turning: all random numbers must go on, for each rank after another number of passes.
    given = {
        "chips": str(few), "balance": [3, 1], "batch_size": 1, "accumulate": 2, "epochs": 3,
        "checkpoint_steps": 1, "depth": 2, "width": 4, "threads": 1,
    }  # fmt: skip
    whole, parts = str(folder / "whole"), str(folder / "parts")
    resumed = [given | {"out": whole}, given | {"out": parts, "goes_on_from": whole}]
    return [
        ("slowed", folder / "slowed.json", folder, 0.02, 0.06),
        write_runs(folder / "resumed.json", resumed),
    ]


def assert_same_training(one, other, *, weights, loss):
    for a, b in zip(one.weights, other.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=weights)
    for a, b in zip(one.state.history, other.state.history, strict=True):
        assert b["loss"] == pytest.approx(a["loss"], rel=loss)
        assert b["val_loss"] == pytest.approx(a["val_loss"], rel=loss)


def test_shares_follow_a_rank_that_is_three_times_slower(together, output, tmp_path):
    first, second = (json.loads((together / f"rank-{rank}.json").read_text()) for rank in range(2))
    assert first == second
    assert sum(first) == 16
    assert 10 <= first[0] <= 13
    assert "shares of an update are now" in output
    run(settings(together / "many", tmp_path / "alone", batch_size=16, epochs=6))
    assert_same_training(latest(tmp_path / "alone"), latest(together / "both"), weights=1e-5, loss=1e-4)


def test_given_shares_resume_in_the_middle_of_an_epoch_to_the_same_weights(together, output):
    assert output.count("4 of 7 chips of the next") == 1
    whole, found = latest(together / "whole"), latest(together / "parts")
    for one, other in zip(whole.weights + whole.optimizer, found.weights + found.optimizer, strict=True):
        np.testing.assert_array_equal(one, other)
