"""Naming whole chips: two ranks must learn what one process does with the whole batch."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from chip_factory import write_kind_chips
from ranks import horovodrun

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


@pytest.fixture(scope="module")
def chips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chips")
    return write_kind_chips(folder, train=[4, 255, 0, 3, 1, 2, 0], val=[0, 3, 255], size=16)


@pytest.fixture(scope="module")
def together(chips, tmp_path_factory):
    """Return the folder with a model folder of two ranks for each case."""
    folder = tmp_path_factory.mktemp("together")
    runs = [
        settings(
            chips, folder / name, threads=1, batch_size=2 // changed.get("accumulate", 1), **changed
        ).model_dump(mode="json")
        for name, changed in CASES.items()
    ]
    (folder / "configs.json").write_text(json.dumps(runs))
    script = Path(__file__).with_name("runs.py")
    ended = horovodrun(2, sys.executable, script, folder / "configs.json")
    assert ended.code == 0, ended.output
    return folder


@pytest.mark.parametrize("case", CASES)
def test_two_ranks_learn_what_one_does_with_the_whole_batch(chips, together, tmp_path, case):
    run(
        settings(
            chips, tmp_path / "alone", batch_size=4, **CASES[case] | {"accumulate": 1, "balance": "equal"}
        )
    )
    alone, both = latest(tmp_path / "alone"), latest(together / case)
    assert any(np.abs(values).max() > 0.01 for values in alone.weights)
    for one, other in zip(alone.weights, both.weights, strict=True):
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-6)
    for one, other in zip(alone.state.history, both.state.history, strict=True):
        for score in ("loss", "val_loss", "accuracy", "mean_iou"):
            assert other[score] == pytest.approx(one[score], rel=1e-5)
