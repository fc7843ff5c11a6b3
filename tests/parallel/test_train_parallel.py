import json
import shutil

import numpy as np
import pytest
import yaml
from chip_factory import write_chips
from ranks import HOROVODRUN, train

from training.fit import run
from training.folder.checkpoints import checkpoint_files, latest
from training.settings.config import TrainConfig

pytestmark = pytest.mark.parallel

EPOCHS = 3
CHIPS = 7  # not divisible by the global batch of 4: the last step of an epoch has an empty chip
VAL = 3


def sgd(chips, out, batch_size):
    return TrainConfig(
        chips=chips, out=out, batch_size=batch_size, epochs=EPOCHS, optimizer="sgd", learning_rate=0.1,
        depth=2, width=4, dropout=(0.0, 0.0), threads=1 if batch_size == 2 else None,
    )  # fmt: skip


def plan(folder):
    """Return the job of two ranks that write down what they see."""
    chips = write_chips(folder / "chips", train=CHIPS, val=VAL, size=16, uneven=True)
    (folder / "config.json").write_text(sgd(chips, folder / "model", batch_size=2).model_dump_json())
    return [("rank_probe", folder / "config.json", folder)]


@pytest.fixture(scope="module")
def reports(together):
    """Return what each of two ranks wrote down."""
    return [json.loads((together / f"rank-{rank}.json").read_text()) for rank in range(2)]


def test_ranks_start_apart_are_brought_together_and_stay_equal(reports):
    own, broadcast, trained = zip(*(report["digests"] for report in reports), strict=True)
    assert [report["size"] for report in reports] == [2, 2]
    assert own[0] != own[1]
    assert broadcast[0] == broadcast[1] == own[0]
    assert trained[0] == trained[1] != own[0]


def test_every_chip_is_read_exactly_once_an_epoch_over_all_ranks(reports):
    for split, count in (("train", CHIPS), ("val", VAL)):
        assert all(report[split] for report in reports)
        assert sorted(reports[0][split] + reports[1][split]) == sorted([*range(count)] * EPOCHS)


def test_two_ranks_learn_what_one_does_with_the_whole_batch(together, tmp_path):
    # The chips' ignored shares lie between none and all, so averaging the ranks' averages would fail here.
    run(sgd(together / "chips", tmp_path / "alone", batch_size=4))
    alone, both = latest(tmp_path / "alone"), latest(together / "model")
    for one, other in zip(alone.weights, both.weights, strict=True):
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-6)
    for one, other in zip(alone.state.history, both.state.history, strict=True):
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-5)
        assert other["val_loss"] == pytest.approx(one["val_loss"], rel=1e-5)
        assert other["mean_iou"] == pytest.approx(one["mean_iou"], abs=0.01)


def test_a_job_that_died_goes_on_as_if_it_had_not(folder, tmp_path):
    out, file = tmp_path / "model", tmp_path / "train.yaml"
    file.write_text(yaml.safe_dump({"batch_size": 2, "epochs": EPOCHS, "depth": 2, "width": 4, "threads": 1}))
    flags = ["--config", file, "--chips", folder / "chips", "--out", out]
    ended = train(*flags, "--feeders", "2", program=HOROVODRUN)
    assert ended.code == 0, ended.output
    # All that a user sees is ours: a line an epoch, and nothing of TensorFlow or Horovod.
    assert [line.split("  ")[0] for line in ended.output.splitlines()] == [
        f"[0]<stdout>:epoch {epoch}/{EPOCHS}" for epoch in range(1, EPOCHS + 1)
    ]
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
