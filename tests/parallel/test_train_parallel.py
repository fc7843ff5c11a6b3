import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from chip_factory import write_chips
from ranks import HOROVODRUN, horovodrun, train

from training.fit import run
from training.folder.checkpoints import checkpoint_files, latest
from training.settings.config import TrainConfig

pytestmark = pytest.mark.parallel

EPOCHS = 3
CHIPS = 7  # not divisible by the global batch of 4: the last step of an epoch has an empty chip
VAL = 3
FLAGS = ["--config", "jobs/conf/train-demo.yaml", "--epochs", EPOCHS, "--batch-size", 2]


@pytest.fixture(scope="module")
def chips(tmp_path_factory):
    return write_chips(tmp_path_factory.mktemp("chips"), train=CHIPS, val=VAL, size=16, uneven=True)


def sgd(chips, out, batch_size):
    return TrainConfig(
        chips=chips, out=out, batch_size=batch_size, epochs=EPOCHS, optimizer="sgd", learning_rate=0.1,
        depth=2, width=4, dropout=(0.0, 0.0), threads=1 if batch_size == 2 else None,
    )  # fmt: skip


@pytest.fixture(scope="module")
def probed(chips, tmp_path_factory):
    """Return the folder with what two ranks wrote down, and their model folder."""
    import json

    folder = tmp_path_factory.mktemp("probed")
    (folder / "config.json").write_text(sgd(chips, folder / "model", batch_size=2).model_dump_json())
    script = Path(__file__).with_name("rank_probe.py")
    ended = horovodrun(2, sys.executable, script, folder / "config.json", folder)
    assert ended.code == 0, ended.output
    return folder, [json.loads((folder / f"rank-{rank}.json").read_text()) for rank in range(2)]


def test_ranks_start_apart_are_brought_together_and_stay_equal(probed):
    _, reports = probed
    own, broadcast, trained = zip(*(report["digests"] for report in reports), strict=True)
    assert [report["size"] for report in reports] == [2, 2]
    assert own[0] != own[1]
    assert broadcast[0] == broadcast[1] == own[0]
    assert trained[0] == trained[1] != own[0]


def test_every_chip_is_read_exactly_once_an_epoch_over_all_ranks(probed):
    _, reports = probed
    for split, count in (("train", CHIPS), ("val", VAL)):
        assert all(report[split] for report in reports)
        assert sorted(reports[0][split] + reports[1][split]) == sorted([*range(count)] * EPOCHS)


def test_two_ranks_learn_what_one_does_with_the_whole_batch(chips, probed, tmp_path):
    # The chips' ignored shares lie between none and all, so averaging the ranks' averages would fail here.
    run(sgd(chips, tmp_path / "alone", batch_size=4))
    alone, together = latest(tmp_path / "alone"), latest(probed[0] / "model")
    for one, other in zip(alone.weights, together.weights, strict=True):
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-6)
    for one, other in zip(alone.state.history, together.state.history, strict=True):
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-5)
        assert other["val_loss"] == pytest.approx(one["val_loss"], rel=1e-5)
        assert other["mean_iou"] == pytest.approx(one["mean_iou"], abs=0.01)


def test_a_job_that_died_goes_on_as_if_it_had_not(chips, tmp_path):
    out = tmp_path / "model"
    flags = [*FLAGS, "--chips", chips, "--out", out]
    ended = train(*flags, program=HOROVODRUN)
    assert ended.code == 0, ended.output
    whole = latest(out)
    shutil.copytree(out, tmp_path / "whole")
    checkpoint_files(out)[-1].unlink()
    ended = train(*flags, "--resume")
    assert ended.code == 0, ended.output
    assert f"epoch {EPOCHS}/{EPOCHS}" in ended.output
    assert f"epoch {EPOCHS - 1}/{EPOCHS}" not in ended.output
    found = latest(out)
    # Adam and dropout: moments and each rank's random numbers went on as well.
    for one, other in zip(whole.weights + whole.optimizer, found.weights + found.optimizer, strict=True):
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-7)


def test_a_configuration_error_ends_all_ranks_with_one_message(tmp_path):
    ended = train("--chips", tmp_path / "none", "--out", tmp_path / "model")
    assert ended.code != 0
    assert ended.output.count("chips.json is missing") == 1, ended.output
