"""A training whose ranks are killed goes on with those that are left, and takes new ones in."""

import json
import os
import signal
import sys
from pathlib import Path

import pytest
import yaml
from chip_factory import write_chips
from ranks import HOROVODRUN, LAUNCH, LIMIT_S, ROOT, kill_all, run_ranks, train
from runs import write_runs
from survival import assert_same_end, start, wait_for

from labeling.files.locks.folder import folder_lock
from training.fit import run
from training.folder.card import read_model_card
from training.folder.checkpoints import latest
from training.ranks.stop import MARK, REQUEUE
from training.settings.config import TrainConfig

pytestmark = [pytest.mark.parallel, pytest.mark.slow]

CHIPS, EPOCHS, COMMIT = 23, 4, 4
UPDATES = 12
"""Updates of an epoch of two ranks; the last one is not full."""

KILLED_AT = 18
"""Half-way through the second epoch, and two updates after a commit."""

ELASTIC = ["--min-ranks", 1, "--cooldown", 2, 4]
OF_HOROVODRUN = [
    *("--min-np", 1, "--max-np", 2, "--host-discovery-script", ROOT / "jobs" / "discover_hosts.sh"),
    *("--blacklist-cooldown-range", 2, 4, "--gloo-timeout-seconds", 120),
]


def plan(folder):
    """Configure a training that could be repeated bit by bit; the job is to do it plainly."""
    chips = write_chips(folder / "chips", train=CHIPS, val=3, size=16)
    values = {
        "chips": str(chips), "depth": 2, "width": 4, "batch_size": 1, "epochs": EPOCHS, "threads": 1,
        "augment": False, "commit_steps": COMMIT, "learning_rate": 0.01,
    }  # fmt: skip
    (folder / "train.yaml").write_text(yaml.safe_dump(values))
    return [write_runs(folder / "runs.json", [values | {"out": str(folder / "plain")}])]


@pytest.fixture(scope="module")
def settings(folder):
    """Return the configuration file."""
    return folder / "train.yaml"


def probed(settings, folder, victim, update):
    """Train elastically, with the probe, and return how that ended and the rows of all processes."""
    (folder / "rows").mkdir()
    probe = [sys.executable, Path(__file__).with_name("elastic_probe.py"), folder / "rows", victim, update]
    job = [*probe, "--config", settings, "--out", folder / "model"]
    ended = run_ranks(2, *job, timeout=480, flags=ELASTIC)
    rows = [
        json.loads(text)
        for file in (folder / "rows").glob("*.jsonl")
        for text in file.read_text().splitlines()
    ]
    return ended, rows


def lineage(rows):
    """Return the rows of the updates that the last weights come from: the last to make each update."""
    begun = {}
    for row in rows:
        begun[row["step"]] = max(row["begun"], begun.get(row["step"], 0))
    return [row for row in rows if row["begun"] == begun[row["step"]]]


@pytest.mark.parametrize("victim", [1, 0], ids=["another", "the-leader"])
def test_a_rank_killed_in_mid_epoch_is_done_without_and_replaced(settings, tmp_path, victim):
    ended, rows = probed(settings, tmp_path, victim, KILLED_AT)
    learned, worlds = assert_whole(ended, rows, tmp_path / "model")
    assert [size for _, size in worlds] == [2, 1, 2], ended.output
    # Of what was learned before, only the updates after the last commit are repeated; they began at it.
    before = max(row["step"] for row in learned if row["begun"] == 0)
    assert KILLED_AT <= before <= KILLED_AT + 1
    assert worlds[1][0] == KILLED_AT // COMMIT * COMMIT
    # A new rank is taken in after a commit: nothing is repeated.
    assert worlds[2][0] == max(row["step"] for row in learned if row["size"] == 1)


def test_the_leader_killed_before_the_first_commit_is_replaced(settings, tmp_path):
    ended, rows = probed(settings, tmp_path, 0, 0)
    _, worlds = assert_whole(ended, rows, tmp_path / "model")
    # Whoever is left may make updates alone, or be joined before the first of them.
    assert [size for _, size in worlds] in ([1, 2], [2]), ended.output


def assert_whole(ended, rows, out):
    """Check the end of a training that lost a rank and got one; return its updates and what they began at."""
    assert ended.code == 0, ended.output
    last, learned = ([row for row in rows if ("digest" in row) == end] for end in (True, False))
    # Both of the last two ranks, one of them new, end with the same weights.
    assert [row["size"] for row in last] == [2, 2]
    assert last[0]["digest"] == last[1]["digest"]
    for epoch in range(1, EPOCHS + 1):
        chips = [chip for row in lineage(learned) if row["epoch"] == epoch for chip in row["chips"]]
        assert sorted(chips) == list(range(CHIPS)), epoch
    assert_folder_is_whole(out)
    return learned, sorted({(row["begun"], row["size"]) for row in learned})


def test_an_undisturbed_elastic_training_is_the_plain_one_bit_by_bit(settings, together, tmp_path):
    free = tmp_path / "elastic"
    ended = train("--config", settings, "--out", free, flags=ELASTIC)
    assert ended.code == 0, ended.output
    assert_same_end(together / "plain", free)
    assert_folder_is_whole(free)
    # What was elastic may go on as a plain training, on any number of ranks.
    plain = yaml.safe_load(settings.read_text()) | {"out": free, "threads": None}
    assert run(TrainConfig.model_validate(plain), resume=True).epochs_run == EPOCHS


def test_sigterm_ends_an_elastic_training_with_the_mark(settings, tmp_path):
    out, log = tmp_path / "model", tmp_path / "log"
    command = [sys.executable, "-m", "jobs.train", "--config", settings, "--out", out]
    process = start([*LAUNCH, 2, *ELASTIC, *command, "--epochs", 999], log)
    try:
        wait_for(process, out, UPDATES)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(timeout=LIMIT_S) == REQUEUE
    finally:
        if process.poll() is None:
            kill_all(process.pid)
    assert (out / MARK).is_file(), log.read_text()
    assert log.read_text().count("asked to end in epoch") == 1


def test_a_folder_in_use_is_refused_by_all_ranks_with_one_message(settings, tmp_path):
    with folder_lock(tmp_path, "train"):
        ended = train("--config", settings, "--out", tmp_path, flags=ELASTIC)
    assert ended.code == 2
    assert ended.output.count(f"{tmp_path} is in use by train") == 1, ended.output


def test_horovodruns_elastic_mode_is_refused_unless_its_network_is_trusted(settings, tmp_path):
    arguments = ["--config", settings, "--out", tmp_path / "model"]
    ended = train(*arguments, flags=OF_HOROVODRUN, program=HOROVODRUN)
    assert ended.code != 0
    assert "--trust-network" in ended.output, ended.output
    assert not (tmp_path / "model").exists()
    ended = train(*arguments, "--trust-network", flags=OF_HOROVODRUN, program=HOROVODRUN)
    assert ended.code == 0, ended.output
    assert_folder_is_whole(tmp_path / "model")


def assert_folder_is_whole(out):
    card, found = read_model_card(out), latest(out)
    assert (card.epochs_run, card.settings["global_batch"]) == (EPOCHS, "elastic")
    assert [row["epoch"] for row in found.state.history] == list(range(1, EPOCHS + 1))
    assert card.best_epoch == found.state.best_epoch
    assert not list(out.glob(".*"))  # neither a lock nor a half-written file
