"""Ranks of our own launcher train as one process does, whatever another user of the machine sends them."""

import pickle
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml
from chip_factory import write_chips
from ranks import LIMIT_S, ROOT, kill_all
from runs import write_runs
from stranger import ASK, as_stranger
from survival import assert_same_end, start

from training.ranks.stop import REQUEUE

pytestmark = pytest.mark.parallel

HAMMER = ASK + (
    "import time\n"
    "port, body, until = sys.argv[1], bytes.fromhex(sys.argv[2]), time.monotonic() + 12\n"
    "seen = set()\n"
    "while time.monotonic() < until:\n"
    "    for place in ('global/0', 'global/1', 'local_localhost/0', 'cross_0/0',\n"
    "                  'worker_addresses/rank-0:0', 'rank_and_size/rank-0:0', 'news/rank-0:0'):\n"
    "        for root in ('', f'guess:{port}/', f':{port}/'):\n"
    "            for method in ('PUT', 'GET', 'DELETE'):\n"
    "                seen.add(ask(port, method, f'/{root}{place}', body if method == 'PUT' else None))\n"
    "print(sorted(seen, key=str))\n"
)
"""Asks a rendezvous for 12 s, while ranks start and meet, for all that Horovod's would answer."""


class Harm:
    """Leaves a file where it is unpickled."""

    def __init__(self, proof):
        self.proof = proof

    def __reduce__(self):
        return Path.touch, (self.proof,)


def plan(folder):
    """Configure a training that could be repeated bit by bit; the job is to do it undisturbed."""
    chips = write_chips(folder / "chips", train=7, val=3, size=16, uneven=True)
    values = {
        "chips": str(chips), "depth": 2, "width": 4, "batch_size": 1, "epochs": 2, "threads": 1,
        "augment": False, "learning_rate": 0.01,
    }  # fmt: skip
    (folder / "train.yaml").write_text(yaml.safe_dump(values))
    return [write_runs(folder / "runs.json", [values | {"out": str(folder / "quiet")}])]


def listening(process):
    """Return the places at which a launcher listens, waiting for the first one."""
    while process.poll() is None:
        links = psutil.Process(process.pid).net_connections("tcp")
        if found := [link.laddr for link in links if link.status == psutil.CONN_LISTEN]:
            return found
        time.sleep(0.01)
    raise AssertionError("it has ended")


@pytest.mark.parametrize("flags", [[], ["--min-ranks", 1]], ids=["plain", "elastic"])
def test_another_user_changes_nothing_learns_nothing_and_runs_nothing(together, tmp_path, flags):
    out, log, proof = tmp_path / "model", tmp_path / "log", tmp_path / "proof"
    train = [sys.executable, "-m", "jobs.train", "--ranks", 2, *flags]
    process = start([*train, "--config", together / "train.yaml", "--out", out], log)
    try:
        (place,) = listening(process)
        assert place.ip == "127.0.0.1"
        seen = as_stranger(HAMMER, place.port, pickle.dumps(Harm(proof)).hex())
        assert process.wait(timeout=LIMIT_S) == 0, log.read_text()
    finally:
        if process.poll() is None:
            kill_all(process.pid)
    # Nothing but "there is nothing", or hung up on: a body that is not wanted is not read, and after the job
    # nobody is there.
    gone = ("ConnectionResetError", "ConnectionRefusedError", "BrokenPipeError", "RemoteDisconnected")
    answers = {"(404, b'')", *(f"('{name}', b'')" for name in gone)}
    assert set(seen.strip().strip("[]").replace("), (", ")|(").split("|")) <= answers
    assert "404" in seen
    assert not proof.exists()
    assert_same_end(together / "quiet", out)


def test_ranks_listen_on_loopback_only(together, tmp_path):
    """What ranks tell each other during the training does not leave the machine either."""
    log = tmp_path / "log"
    train = [sys.executable, "-m", "jobs.train", "--ranks", 2, "--min-ranks", 1, "--epochs", 999]
    process = start([*train, "--config", together / "train.yaml", "--out", tmp_path / "model"], log)
    try:
        limit = time.monotonic() + LIMIT_S
        while "epoch   2/999" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < limit, log.read_text()
            time.sleep(0.1)
        ranks = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        links = [link for each in ranks for link in each.net_connections("inet")]
        assert len(ranks) == 3
        assert {link.laddr.ip for link in links} == {"127.0.0.1"}
    finally:
        process.terminate()
        code = process.wait(timeout=LIMIT_S)
    assert code == REQUEUE, log.read_text()


def test_a_configuration_error_is_told_once_with_its_code(tmp_path):
    command = [sys.executable, "-m", "jobs.train", "--ranks", "2", "--chips", tmp_path / "none", "--out"]
    done = subprocess.run(
        [*map(str, command), str(tmp_path / "model")],
        cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.count("chips.json is missing") == 1, done.stderr
