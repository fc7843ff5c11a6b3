"""Two ranks that are killed or asked to end go on to the weights of the training that nobody disturbed."""

import os
import signal

import numpy as np
import psutil
import pytest
import yaml
from chip_factory import write_chips
from ranks import LAUNCH, LIMIT_S
from runs import write_runs
from survival import CHIPS, UPDATES, assert_same_end, job, kill_on_the_way, start, wait_for, write_config

from training.ranks.stop import MARK, REQUEUE

pytestmark = pytest.mark.parallel


def plan(folder):
    """Return the job of two ranks that nobody disturbs."""
    chips = write_chips(folder / "chips", **CHIPS)
    config = yaml.safe_load(write_config(folder, batch_size=1).read_text())
    return [write_runs(folder / "runs.json", [config | {"chips": str(chips), "out": str(folder / "model")}])]


@pytest.fixture(scope="module")
def unbroken(together):
    """Return chips, configuration file and the model folder of that training."""
    return together / "chips", together / "train.yaml", together / "model"


def two(chips, out, config):
    return [*LAUNCH, "2", *job(chips, out, config)]


def rank(number):
    """Return a function that finds the process of a rank below the launcher's."""

    def find(process):
        for child in psutil.Process(process.pid).children(recursive=True):
            command = child.cmdline()
            ours = "jobs.train" in command and "python" in command[0]
            if ours and child.environ().get("HOROVOD_RANK") == str(number):
                return child.pid
        raise AssertionError(f"no process of rank {number}")

    return find


def test_ranks_killed_at_random_moments_end_with_the_same_weights(unbroken, tmp_path):
    chips, config, whole = unbroken
    rng = np.random.default_rng(21)
    out, log = tmp_path / "model", tmp_path / "log"
    moments = zip(np.sort(rng.integers(1, UPDATES - 40, 2)), rng.uniform(0, 0.3, 2), strict=True)
    died = kill_on_the_way(two(chips, out, config), out, log, moments, [rank(1), rank(0)])
    assert died == 2
    assert log.read_text().count("chips of the next") >= 1  # in the middle of an epoch
    assert_same_end(whole, out)


def test_sigterm_leaves_a_checkpoint_the_mark_and_code_75(unbroken, tmp_path):
    chips, config, whole = unbroken
    out, log = tmp_path / "model", tmp_path / "log"
    process = start(two(chips, out, config), log)
    wait_for(process, out, 20)
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(timeout=LIMIT_S) == REQUEUE, log.read_text()
    assert (out / MARK).is_file(), log.read_text()
    assert start(two(chips, out, config), log).wait(timeout=LIMIT_S) == 0, log.read_text()
    assert not (out / MARK).exists()
    assert_same_end(whole, out)
