"""Whatever goes wrong on one rank ends all of them, soon, with one clear message."""

import json
import sys
from pathlib import Path

import pytest
from chip_factory import write_chips
from ranks import run_ranks

from training.settings.config import TrainConfig

pytestmark = pytest.mark.parallel


def plan(folder):
    """Return the job of two ranks that overflows and goes on."""
    chips = write_chips(folder / "chips", train=7, val=3, size=16)
    exact = {"precision": "float16", "optimizer": "sgd", "dropout": (0.0, 0.0)}
    return [("faults", "overflow", write_config(chips, folder, **exact), folder)]


def write_config(chips, folder, **changed):
    """Write a configuration for faults.py and return its file."""
    small = {"chips": chips, "out": folder / "model", "depth": 2, "width": 4, "threads": 1}
    config = folder / "config.json"
    config.write_text(TrainConfig.model_validate(small | changed).model_dump_json())
    return config


def fault(kind, folder, out, **changed):
    """Run faults.py on two ranks and return how that ended."""
    script = Path(__file__).with_name("faults.py")
    return run_ranks(2, sys.executable, script, kind, write_config(folder / "chips", out, **changed))


def assert_told_once(ended, message):
    """Check that the job failed with one message and without a traceback of a rank."""
    assert ended.code != 0
    assert ended.output.count(message) == 1, ended.output
    # The lines of ranks begin with their number; the launcher has lines of its own.
    assert not [line for line in ended.output.splitlines() if line.startswith("[") and "Traceback" in line]


def test_a_loss_that_is_no_number_on_one_rank_ends_both(folder, tmp_path):
    assert_told_once(fault("nan", folder, tmp_path), "the loss is nan at update 1 of epoch 1")


def test_a_lost_feeder_of_one_rank_ends_both(folder, tmp_path):
    ended = fault("feeder", folder, tmp_path, feeders=1, batch_size=1, epochs=99)
    assert_told_once(ended, "was ended by signal 9 (Killed), for want of memory perhaps")
    assert "(rank 1)" in ended.output


def test_an_overflow_on_one_rank_skips_the_update_on_both(together):
    first, second = (json.loads((together / f"rank-{rank}.json").read_text()) for rank in range(2))
    assert first == second
    assert [step["finite"] for step in first] == [True, False, True]
    assert first[1]["weights"] == first[0]["weights"] != first[2]["weights"]
    assert first[1]["scale"] == first[0]["scale"] / 2


def test_a_rank_that_keeps_the_others_waiting_ends_the_job(folder, tmp_path):
    assert_told_once(fault("late", folder, tmp_path), "rank 0 waited 2 s for the others at 'late'")
