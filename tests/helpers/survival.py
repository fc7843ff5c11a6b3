"""Runs `jobs.train` as a process of its own that a test can end at any moment, and compares what is left."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import yaml
from lean_start import lean_environment

from training.folder.checkpoints import checkpoint_files, latest

ROOT = Path(__file__).parents[2]

SETTINGS = {
    "depth": 2, "width": 4, "batch_size": 2, "epochs": 8, "learning_rate": 0.01, "threads": 1,
    "checkpoint_steps": 3, "warmup_epochs": 2, "schedule": "cosine",
}  # fmt: skip
"""Adam, dropout, turning and a learning rate that moves: everything that has to go on."""

CHIPS = {"train": 29, "val": 5, "size": 32}
"""Fifteen updates an epoch, the last one not full."""

UPDATES = 120
"""Updates in all."""


def write_config(folder, **changed):
    """Write the settings as a configuration file and return it."""
    file = folder / "train.yaml"
    file.write_text(yaml.safe_dump(SETTINGS | changed))
    return file


def start(command, log):
    """Start a training in a process group of its own; its output goes to the file `log`."""
    with log.open("a") as stream:
        return subprocess.Popen(
            [*map(str, command)],
            cwd=ROOT,
            env=lean_environment(),
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )


def job(chips, out, config):
    """Return the command of a training on one process that goes on where it can."""
    return [
        sys.executable,
        "-m",
        "jobs.train",
        "--config",
        config,
        "--chips",
        chips,
        "--out",
        out,
        "--resume",
    ]


def reached(out):
    """Return the number of updates in the newest checkpoint's name, 0 without one."""
    files = checkpoint_files(out)
    return int(files[-1].stem.removeprefix("step-")) if files else 0


def wait_for(process, out, steps, seconds=100):
    """Wait until a checkpoint of `steps` updates is there or the process has ended."""
    limit = time.monotonic() + seconds
    while process.poll() is None and reached(out) < steps:
        assert time.monotonic() < limit, f"no update {steps} after {seconds} s"
        time.sleep(0.01)


def kill_on_the_way(command, out, log, moments, victims):
    """Run `command` again and again, each time killed (-9) a little after so many updates; then to its end.

    `moments` are pairs of updates and seconds; each of `victims` finds the process to kill in one run.
    Returns how many runs died.
    """
    died = 0
    for (steps, pause), victim in zip(moments, victims, strict=True):
        process = start(command, log)
        wait_for(process, out, steps)
        time.sleep(pause)
        if process.poll() is None:
            os.kill(victim(process), signal.SIGKILL)
        died += process.wait(timeout=60) != 0
    last = start(command, log)
    assert last.wait(timeout=120) == 0, log.read_text()
    return died


def assert_same_end(one, other):
    """Check that two model folders hold the very same weights, optimiser and history."""
    first, second = latest(one), latest(other)
    for a, b in zip(first.weights + first.optimizer, second.weights + second.optimizer, strict=True):
        np.testing.assert_array_equal(a, b)
    times = {"seconds", "seconds_per_step", "chips_per_second"}
    for a, b in zip(first.state.history, second.state.history, strict=True):
        assert {key: a[key] for key in a.keys() - times} == {key: b[key] for key in b.keys() - times}
    assert (first.state.steps, first.state.best_epoch) == (second.state.steps, second.state.best_epoch)
