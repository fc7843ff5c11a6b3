"""`train.sbatch` on nodes of a Slurm: exact, and the same whatever happens to its job."""

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from chip_factory import write_chips
from conftest import ROOT
from lean_start import lean_environment
from slurm_lab import ENDED

from training.fit import run
from training.folder.checkpoints import checkpoint_files, latest
from training.settings.config import TrainConfig

pytestmark = pytest.mark.slurm

SCRIPT = ROOT / "jobs/slurm/train.sbatch"
HELD = Path(__file__).with_name("held.py")

SETTINGS = {
    "epochs": 4, "optimizer": "sgd", "learning_rate": 0.1, "depth": 2, "width": 4, "dropout": [0.0, 0.0],
    "checkpoint_steps": 3,
}  # fmt: skip

GLOBAL_BATCH = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with chips, eight updates an epoch, the last one not full; and the training of one process."""
    folder = tmp_path_factory.mktemp("train")
    chips = write_chips(folder / "chips", train=29, val=5, size=16, uneven=True)
    (folder / "train.yaml").write_text(yaml.safe_dump(SETTINGS | {"threads": 1}))
    values = SETTINGS | {"batch_size": GLOBAL_BATCH, "chips": chips, "out": folder / "alone"}
    run(TrainConfig.model_validate(values))
    return folder


def submit(lab, folder, out, *options, ranks, more=(), **environment):
    """Submit a training of so many ranks in all."""
    path = os.pathsep.join([lean_environment()["PYTHONPATH"], str(ROOT)])
    return lab.sbatch(
        *options, "--gpus-per-node=0", "--cpus-per-task=1", f"--output={out}.log", SCRIPT,
        "--config", folder / "train.yaml", "--chips", folder / "chips", "--out", out / "model",
        "--batch-size", GLOBAL_BATCH // ranks, *more,
        cwd=ROOT, env={"POLYNYA": path, "VENV": str(Path(sys.executable).parents[1])} | environment,
    )  # fmt: skip


def ended_well(lab, job, out):
    found = lab.wait(job)
    assert (found["JobState"], found["ExitCode"]) == ("COMPLETED", "0:0"), told(out)
    return found


def told(out):
    logs = [Path(f"{out}.log"), *sorted(out.glob("logs/*/*"))]
    return "\n".join(f"== {log}\n{log.read_text()}" for log in logs if log.exists())


def assert_same_weights(one, other):
    first, second = latest(one), latest(other)
    assert first.state.steps == second.state.steps == 32
    for a, b in zip(first.weights, second.weights, strict=True):
        np.testing.assert_allclose(b, a, rtol=0, atol=1e-6)
    for a, b in zip(first.state.history, second.state.history, strict=True):
        assert b["val_loss"] == pytest.approx(a["val_loss"], rel=1e-5)


@pytest.fixture
def locked_home(lab, tmp_path):
    """A home that can only be read, on all nodes."""
    home = tmp_path / "home"
    home.mkdir()
    for node in lab.nodes:
        lab.run_on(node, "mount", "-t", "tmpfs", "-o", "ro", "none", home)
        assert lab.run_on(node, "touch", home / "file", check=False).returncode != 0
    yield home
    for node in lab.nodes:
        lab.run_on(node, "umount", home)


def test_two_nodes_learn_what_one_process_does_and_one_node_goes_on_from_there(lab, folder, locked_home):
    both = folder / "both"
    layout = ["--nodes=2", "--ntasks-per-node=2"]
    ended_well(lab, submit(lab, folder, both, *layout, ranks=4, HOME=str(locked_home)), both)
    assert_same_weights(folder / "alone", both / "model")
    (log,) = (both / "logs").glob("*.0/rank-0.log")
    assert log.read_text().count("epoch ") == SETTINGS["epochs"]
    # What a user reads is ours: a line an epoch, and nothing of TensorFlow, Horovod or Slurm.
    assert all(line.startswith("[0] epoch ") for line in log.read_text().splitlines()), told(both)
    one = folder / "one"
    shutil.copytree(both / "model", one / "model")
    for file in checkpoint_files(one / "model")[-2:]:
        file.unlink()
    ended_well(lab, submit(lab, folder, one, "--nodes=1", "--ntasks-per-node=2", ranks=2), one)
    assert "going on after epoch" in told(one)
    assert_same_weights(folder / "alone", one / "model")


def test_a_time_limit_and_a_lost_node_change_nothing_but_the_time(lab, folder, tmp_path):
    out = folder / "disturbed"
    hold = {"RANKS": f"{sys.executable} {HELD}", "POLYNYA_HELD": "10 10", "POLYNYA_MARKS": str(tmp_path)}
    options = ["--nodes=2", "--ntasks-per-node=1", "--time=60", "--signal=B:TERM@360"]
    job = submit(lab, folder, out, *options, ranks=2, **hold)
    for start, happen in enumerate([lambda: lab.limit(job), lambda: lab.down("node1")]):

        def held(start=start):
            assert lab.state(job) not in ENDED, told(out)
            return len(list(tmp_path.glob(f"held-{start}-*"))) == 2

        lab.until(held, f"start {start} does not come so far", timeout=900)
        happen()
    try:
        ended = ended_well(lab, job, out)
    finally:
        lab.up("node1")
    assert (ended["Restarts"], ended["NodeList"]) == ("2", "node[2-3]")
    assert sorted(path.suffix for path in (out / "logs").iterdir()) == [".0", ".1", ".2"]
    assert told(out).count("going on after epoch") == 2
    assert_same_weights(folder / "alone", out / "model")
