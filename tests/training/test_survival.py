import os
import signal
import time
from pathlib import Path

import keras
import numpy as np
import psutil
import pytest
from chip_factory import write_chips
from survival import (
    CHIPS,
    UPDATES,
    assert_same_end,
    job,
    kill_on_the_way,
    reached,
    start,
    wait_for,
    write_config,
)

from training.folder.checkpoints import latest
from training.ranks.stop import MARK, REQUEUE

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """Return chips, configuration and the model folder of a training that nobody disturbed."""
    folder = tmp_path_factory.mktemp("unbroken")
    chips = write_chips(folder / "chips", **CHIPS)
    config = write_config(folder)
    log = folder / "log"
    assert start(job(chips, folder / "model", config), log).wait(timeout=200) == 0, log.read_text()
    return chips, config, folder / "model"


def test_a_training_killed_at_random_moments_ends_with_the_same_weights(unbroken, tmp_path):
    chips, config, whole = unbroken
    rng = np.random.default_rng(20)
    moments = zip(np.sort(rng.integers(1, UPDATES - 40, 3)), rng.uniform(0, 0.3, 3), strict=True)
    out, log = tmp_path / "model", tmp_path / "log"
    itself = [lambda process: process.pid] * 3
    assert kill_on_the_way(job(chips, out, config), out, log, moments, itself) >= 2
    assert log.read_text().count("chips of the next") >= 1  # in the middle of an epoch
    assert_same_end(whole, out)
    best, other = (keras.saving.load_model(folder / "model.keras", compile=False) for folder in (whole, out))
    for a, b in zip(best.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not list(out.rglob("*.part*"))


def test_sigterm_leaves_a_checkpoint_a_mark_and_the_code_to_queue_again(unbroken, tmp_path):
    chips, config, whole = unbroken
    out, log = tmp_path / "model", tmp_path / "log"
    process = start(job(chips, out, config), log)
    wait_for(process, out, 20)
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(timeout=60) == REQUEUE, log.read_text()
    assert (out / MARK).is_file()
    assert not (out / "model.json").exists()
    assert 20 <= latest(out).state.steps == reached(out) < UPDATES
    assert start(job(chips, out, config), log).wait(timeout=120) == 0, log.read_text()
    assert not (out / MARK).exists()
    assert_same_end(whole, out)


def test_sigterm_to_all_its_processes_is_the_same(unbroken, tmp_path):
    """As a batch system sends it: those that feed the training go on until it has come to an end."""
    chips, config, whole = unbroken
    out, log = tmp_path / "model", tmp_path / "log"
    process = start([*job(chips, out, config), "--feeders", "2"], log)
    wait_for(process, out, 20)
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    assert sum("training.data.feeder" in each.cmdline() for each in family) == 2
    for each in reversed(family):
        each.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == REQUEUE, log.read_text()
    assert not any(each.is_running() for each in family)
    assert start(job(chips, out, config), log).wait(timeout=120) == 0, log.read_text()
    assert_same_end(whole, out)


def test_sigterm_before_the_first_update_is_heard_as_well(unbroken, tmp_path):
    chips, config, _ = unbroken
    out, log = tmp_path / "model", tmp_path / "log"
    process = start([*job(chips, out, config), "--seed", "1"], log)
    # TensorFlow is being loaded: our handler is in place once its library is mapped.
    while process.poll() is None and "libtensorflow" not in Path(f"/proc/{process.pid}/maps").read_text():
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(timeout=100) == REQUEUE, log.read_text()
    assert latest(out).state.steps <= 3
    assert (out / MARK).is_file()
