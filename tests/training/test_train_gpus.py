"""A training looks for its GPU before all else, and a user is told where it has none that it should have."""

import os
import sys

import pytest
from chip_factory import write_chips
from conftest import ROOT
from lean_start import lean_environment
from machine_with_gpus import on_machine_with_gpus

from labeling.errors import ConfigError
from training.fit import run
from training.ranks.device import judged
from training.ranks.gpus import Held
from training.settings.config import TrainConfig

SMALL = ["--epochs", "1", "--batch-size", "2", "--threads", "1"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def chips(tmp_path_factory):
    return write_chips(tmp_path_factory.mktemp("gpus") / "chips", train=2, val=0, size=16)


def train(chips, folder, *flags, ranks=()):
    (folder / "dev").mkdir()
    environment = lean_environment()
    del environment["CUDA_VISIBLE_DEVICES"]
    command = [sys.executable, "-m", "jobs.train", *ranks, "--chips", chips, "--out", folder / "model"]
    return on_machine_with_gpus(
        folder / "dev", 2, [*command, *SMALL, *flags], cwd=ROOT, env=environment
    )  # fmt: skip


@pytest.mark.parametrize("ranks", [[], ["--ranks", "2"]], ids=["alone", "two ranks"])
def test_gpus_that_tensorflow_does_not_see_end_a_training_before_it_begins(chips, tmp_path, ranks):
    done = train(chips, tmp_path, ranks=ranks)
    told = f"train: TensorFlow sees no GPU of {os.uname().nodename}, which has nvidia0, nvidia1: "
    assert done.returncode == 2, done.stderr
    assert done.stderr.count(told) == 1, done.stderr
    assert "make setup GPU=1" in done.stderr
    assert not (tmp_path / "model").exists()


def test_a_training_on_the_processor_may_be_asked_for(chips, tmp_path):
    done = train(chips, tmp_path, "--gpus", "none")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "model/model.json").is_file()


@pytest.mark.parametrize("wanted", ["auto", "required"])
def test_gpus_without_nccl_are_told_or_refused_with_the_command_that_mends_it(wanted):
    assert judged(Held("node1", "nvidia0 boot", nccl=True), wanted) == (
        Held("node1", "nvidia0 boot", True),
        None,
        None,
    )
    slow = judged(Held("node1", "nvidia0 boot", nccl=False), wanted)
    told, silent = (slow.doubt, slow.problem) if wanted == "auto" else (slow.problem, slow.doubt)
    assert "built without NCCL" in told
    assert "`make setup GPU=1`" in told
    assert silent is None


def test_gpus_may_be_required(chips, tmp_path, unlimited_threads):
    config = TrainConfig(chips=chips, out=tmp_path / "model", epochs=1, gpus="required")
    with pytest.raises(ConfigError, match=r"gpus: required, and .* shows this process none; --gpus none"):
        run(config)
