"""Whatever goes wrong on one rank ends all of them, soon, with one clear message."""

import json
import shutil
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from chip_factory import write_chips
from ranks import horovodrun, train

from training.settings.config import TrainConfig

pytestmark = pytest.mark.parallel

FLAGS = ["--config", "jobs/conf/train-demo.yaml", "--epochs", 1, "--batch-size", 1]


@pytest.fixture(scope="module")
def chips(tmp_path_factory):
    return write_chips(tmp_path_factory.mktemp("chips"), train=7, val=3, size=16)


def fault(kind, chips, folder, **changed):
    """Run faults.py on two ranks and return how that ended."""
    small = {"chips": chips, "out": folder / "model", "depth": 2, "width": 4}
    config = folder / "config.json"
    config.write_text(TrainConfig.model_validate(small | changed).model_dump_json())
    script = Path(__file__).with_name("faults.py")
    return horovodrun(2, sys.executable, script, kind, config, folder)


def assert_told_once(ended, message):
    """Check that the job failed with one message and without a traceback of a rank."""
    assert ended.code != 0
    assert ended.output.count(message) == 1, ended.output
    # The lines of ranks begin with their number; horovodrun itself ends with a traceback.
    assert not [line for line in ended.output.splitlines() if line.startswith("[") and "Traceback" in line]


def test_a_chip_that_cannot_be_read_ends_all_ranks(chips, tmp_path):
    # Of each file the first chip is looked at before the training begins; this one comes up in the middle.
    broken = shutil.copytree(chips, tmp_path / "broken")
    odd = write_chips(tmp_path / "odd", train=7, size=32)
    name = "split=train/train-scene-000.parquet"
    found, wrong = (pq.read_table(folder / name) for folder in (chips, odd))
    table = pa.concat_tables([found.slice(0, 1), wrong.slice(1)])
    pq.write_table(table, broken / name, row_group_size=1)
    ended = train(*FLAGS, "--chips", broken, "--out", tmp_path / "model")
    assert_told_once(ended, "is not 16 x 16 pixels")
    assert (tmp_path / "model").exists()


def test_a_loss_that_is_no_number_on_one_rank_ends_both(chips, tmp_path):
    assert_told_once(fault("nan", chips, tmp_path), "the loss is nan at update 1 of epoch 1")


def test_an_overflow_on_one_rank_skips_the_update_on_both(chips, tmp_path):
    ended = fault("overflow", chips, tmp_path, precision="float16", optimizer="sgd", dropout=(0.0, 0.0))
    assert ended.code == 0, ended.output
    first, second = (json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in range(2))
    assert first == second
    assert [step["finite"] for step in first] == [True, False, True]
    assert first[1]["weights"] == first[0]["weights"] != first[2]["weights"]
    assert first[1]["scale"] == first[0]["scale"] / 2


def test_a_rank_that_keeps_the_others_waiting_ends_the_job(chips, tmp_path):
    assert_told_once(fault("late", chips, tmp_path), "rank 0 waited 2 s for the others at 'late'")
