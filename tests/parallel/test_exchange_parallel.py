"""Gradients that travel in groups, or as float16, must come to what they come to in one group."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from chip_factory import write_chips
from ranks import run_ranks
from runs import write_runs

from training.folder.checkpoints import latest
from training.settings.config import TrainConfig

pytestmark = pytest.mark.parallel

CASES = {
    "one": {"exchange_groups": 1},
    "four": {"exchange_groups": 4},
    "more-than-tensors": {"exchange_groups": 64},
    "accumulated": {"exchange_groups": 4, "batch_size": 1, "accumulate": 2},
    "accumulated-in-one": {"exchange_groups": 1, "batch_size": 1, "accumulate": 2},
    "half": {"exchange_groups": 4, "exchange_precision": "float16"},
    "half-of-half": {"exchange_groups": 4, "exchange_precision": "float16", "precision": "float16"},
    "float16": {"exchange_groups": 4, "precision": "float16"},
}


def settings(chips, out, **changed):
    base = {
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "depth": 3,
        "width": 4,
        "dropout": (0, 0, 0),
        "epochs": 3,
    }
    values = {"chips": chips, "out": out, "batch_size": 2, "threads": 1} | base | changed
    return TrainConfig.model_validate(values).model_dump(mode="json")


def plan(folder):
    """Return the job of two ranks that trains each case."""
    chips = write_chips(folder / "chips", train=7, val=3, size=16, uneven=True)
    configs = [settings(chips, folder / name, **changed) for name, changed in CASES.items()]
    return [write_runs(folder / "configs.json", configs)]


def weights(folder):
    return latest(folder).weights


@pytest.mark.parametrize(
    ("case", "other"),
    [("four", "one"), ("more-than-tensors", "one"), ("accumulated", "accumulated-in-one")],
)
def test_two_ranks_learn_the_same_bits_in_any_number_of_groups(together, case, other):
    for one, two in zip(weights(together / case), weights(together / other), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(("case", "exact"), [("half", "one"), ("half-of-half", "float16")])
def test_gradients_as_float16_are_a_little_off(together, case, exact):
    halves, exacts = weights(together / case), weights(together / exact)
    distances = [np.abs(one - two).max() for one, two in zip(halves, exacts, strict=True)]
    # float16 has 11 bits, and nine updates by 0.1 x the gradient move a weight by less than 1.
    assert 0 < max(distances) < 2e-3
    rows = [latest(together / name).state.history[-1]["loss"] for name in (case, exact)]
    assert rows[0] == pytest.approx(rows[1], rel=1e-3)


def test_three_ranks_repeat_bit_for_bit(tmp_path):
    chips = write_chips(tmp_path / "chips", train=12, val=0, size=16, uneven=True)
    names = ["first", "second", "third"]
    configs = [settings(chips, tmp_path / name, exchange_groups=4, batch_size=1) for name in names]
    jobs = tmp_path / "jobs.json"
    jobs.write_text(json.dumps([write_runs(tmp_path / "configs.json", configs)], default=str))
    ended = run_ranks(3, sys.executable, Path(__file__).with_name("one_start.py"), jobs)
    assert ended.code == 0, ended.output
    first, *others = (weights(tmp_path / name) for name in names)
    for other in others:
        for one, two in zip(first, other, strict=True):
            np.testing.assert_array_equal(one, two)
