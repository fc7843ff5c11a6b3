"""Two ranks must learn what one process does with the whole batch, whatever loss and schedule."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from chip_factory import write_chips
from ranks import horovodrun

from training.checkpoints import latest
from training.config import TrainConfig
from training.fit import run

pytestmark = pytest.mark.parallel

WEIGHTS = {"class_weights": (0.5, 2.0, 1.5)}
CASES = {
    "focal": {"loss": "focal"},
    "dice": {"loss": "dice"},
    "weighted": WEIGHTS,
    "weighted-focal": {"loss": "focal", "focal_gamma": 1.0, "class_weights": "balanced"},
    "weighted-dice": {"loss": "dice"} | WEIGHTS,
    "schedule": {"schedule": "cosine", "warmup_epochs": 1, "reference_batch": 2},
    "patience": {"learning_rate": 1e-12, "patience": 1},
}
"""What each run changes. The chips' ignored shares lie between none and all; the last batch is not full."""


def settings(chips, out, **changed):
    base = {"optimizer": "sgd", "learning_rate": 0.1, "depth": 2, "width": 4, "dropout": (0, 0), "epochs": 3}
    values = {"chips": chips, "out": out} | base | changed
    return TrainConfig.model_validate(values)


@pytest.fixture(scope="module")
def chips(tmp_path_factory):
    return write_chips(tmp_path_factory.mktemp("chips"), train=7, val=3, size=16, uneven=True)


@pytest.fixture(scope="module")
def together(chips, tmp_path_factory):
    """Return the folder with a model folder of two ranks for each case."""
    folder = tmp_path_factory.mktemp("together")
    runs = {name: {"batch_size": 2} | changed for name, changed in CASES.items()}
    runs["accumulated"] = {"batch_size": 1, "accumulate": 2}
    runs["bfloat16"] = {"batch_size": 2, "precision": "bfloat16"}
    runs["float16"] = {"batch_size": 2, "precision": "float16"}
    configs = [
        settings(chips, folder / name, threads=1, **changed).model_dump(mode="json")
        for name, changed in runs.items()
    ]
    (folder / "configs.json").write_text(json.dumps(configs))
    ended = horovodrun(
        2, sys.executable, Path(__file__).with_name("runs.py"), folder / "configs.json", timeout=240
    )
    assert ended.code == 0, ended.output
    return folder


def distance(one, other):
    return max(np.abs(a - b).max() for a, b in zip(one.weights, other.weights, strict=True))


@pytest.mark.parametrize("case", [*CASES, "accumulated"])
def test_two_ranks_learn_what_one_does_with_the_whole_batch(chips, together, tmp_path, case):
    run(settings(chips, tmp_path / "alone", batch_size=4, **CASES.get(case, {})))
    alone, both = latest(tmp_path / "alone"), latest(together / case)
    assert distance(alone, both) <= 1e-6
    assert len(alone.state.history) == len(both.state.history) == (2 if case == "patience" else 3)
    for one, other in zip(alone.state.history, both.state.history, strict=True):
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-5)
        assert other["val_loss"] == pytest.approx(one["val_loss"], rel=1e-5)
        assert other["learning_rate"] == one["learning_rate"]


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_two_ranks_in_half_precision_stay_near_one(chips, together, tmp_path, precision):
    run(settings(chips, tmp_path / "alone", batch_size=4, precision=precision))
    assert distance(latest(tmp_path / "alone"), latest(together / precision)) < 0.01
