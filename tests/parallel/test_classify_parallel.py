"""Naming whole chips: two ranks must learn what one process does with the whole batch."""

import numpy as np
import pytest
from chip_factory import write_kind_chips
from runs import write_runs

from training.fit import run
from training.folder.checkpoints import latest
from training.settings.config import TrainConfig

pytestmark = pytest.mark.parallel

CASES = {
    "plain": {},
    "weighted-focal": {"loss": "focal", "class_weights": "balanced"},
    "accumulated": {"accumulate": 2},
    "uneven": {"balance": (3, 1)},
}
"""What each run changes. One chip has no kind, so ranks hold different numbers of labels; the last batch is
not full."""


def settings(chips, out, **changed):
    base = {"task": "classify", "width": 8, "dropout": (0.0,), "optimizer": "sgd", "learning_rate": 0.05}
    return TrainConfig.model_validate({"chips": chips, "out": out, "epochs": 3} | base | changed)


def plan(folder):
    """Return the job of two ranks that trains each case."""
    chips = write_kind_chips(folder / "chips", train=[4, 255, 0, 3, 1, 2, 0], val=[0, 3, 255], size=16)
    configs = [
        settings(
            chips, folder / name, threads=1, batch_size=2 // changed.get("accumulate", 1), **changed
        ).model_dump(mode="json")
        for name, changed in CASES.items()
    ]
    return [write_runs(folder / "configs.json", configs)]


@pytest.fixture(scope="module")
def alone(folder, tmp_path_factory):
    """Return a function that trains one process, once for all cases that share out the same batch."""
    trained = {}

    def train(**changed):
        whole = changed | {"batch_size": 4, "accumulate": 1, "balance": "equal"}
        config = settings(folder / "chips", tmp_path_factory.mktemp("alone"), **whole)
        key = config.model_dump_json(exclude={"out"})
        if key not in trained:
            run(config)
            trained[key] = latest(config.out)
        return trained[key]

    return train


@pytest.mark.parametrize("case", CASES)
def test_two_ranks_learn_what_one_does_with_the_whole_batch(alone, together, case):
    one_process, both = alone(**CASES[case]), latest(together / case)
    assert any(np.abs(values).max() > 0.01 for values in one_process.weights)
    for one, other in zip(one_process.weights, both.weights, strict=True):
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-6)
    for one, other in zip(one_process.state.history, both.state.history, strict=True):
        for score in ("loss", "val_loss", "accuracy", "mean_iou"):
            assert other[score] == pytest.approx(one[score], rel=1e-5)
