"""Two ranks must learn what one process does with the whole batch, whatever loss, schedule and shares."""

import numpy as np
import pytest
from chip_factory import write_chips
from runs import write_runs

from training.fit import run
from training.folder.checkpoints import latest
from training.settings.config import TrainConfig

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
    "accumulated": {"batch_size": 1, "accumulate": 2},
    "uneven": {"balance": (3, 1)},
    "second-is-empty": {"balance": (1, 0)},
    "first-is-empty": {"balance": (0, 1)},
    "uneven-accumulated": {"balance": (3, 1), "batch_size": 1, "accumulate": 2},
    "uneven-dice": {"balance": (1, 3), "loss": "dice"} | WEIGHTS,
}
"""What each run changes. The chips' ignored shares lie between none and all; the last batch is not full."""

ALONE = {"batch_size": 4, "accumulate": 1, "balance": "equal"}
"""How one process takes the whole batch."""


def settings(chips, out, **changed):
    base = {"optimizer": "sgd", "learning_rate": 0.1, "depth": 2, "width": 4, "dropout": (0, 0), "epochs": 3}
    values = {"chips": chips, "out": out} | base | changed
    return TrainConfig.model_validate(values)


def plan(folder):
    """Return the job of two ranks that trains each case, and those in half precision."""
    chips = write_chips(folder / "chips", train=7, val=3, size=16, uneven=True)
    runs = {name: {"batch_size": 2} | changed for name, changed in CASES.items()}
    runs["bfloat16"] = {"batch_size": 2, "precision": "bfloat16"}
    runs["float16"] = {"batch_size": 2, "precision": "float16"}
    configs = [
        settings(chips, folder / name, threads=1, **changed).model_dump(mode="json")
        for name, changed in runs.items()
    ]
    return [write_runs(folder / "configs.json", configs)]


@pytest.fixture(scope="module")
def alone(folder, tmp_path_factory):
    """Return a function that trains one process, once for all cases that share out the same batch."""
    trained = {}

    def train(**changed):
        config = settings(folder / "chips", tmp_path_factory.mktemp("alone"), **changed | ALONE)
        key = config.model_dump_json(exclude={"out"})
        if key not in trained:
            run(config)
            trained[key] = latest(config.out)
        return trained[key]

    return train


def distance(one, other):
    return max(np.abs(a - b).max() for a, b in zip(one.weights, other.weights, strict=True))


@pytest.mark.parametrize("case", CASES)
def test_two_ranks_learn_what_one_does_with_the_whole_batch(alone, together, case):
    one, both = alone(**CASES[case]), latest(together / case)
    assert distance(one, both) <= 1e-6
    assert len(one.state.history) == len(both.state.history) == (2 if case == "patience" else 3)
    for row, other in zip(one.state.history, both.state.history, strict=True):
        assert other["loss"] == pytest.approx(row["loss"], rel=1e-5)
        assert other["val_loss"] == pytest.approx(row["val_loss"], rel=1e-5)
        assert other["learning_rate"] == row["learning_rate"]


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_two_ranks_in_half_precision_stay_near_one(alone, together, precision):
    assert distance(alone(precision=precision), latest(together / precision)) < 0.01
