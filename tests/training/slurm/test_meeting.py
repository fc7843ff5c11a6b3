import socket
import subprocess
import sys

import pytest
from conftest import ROOT

from training.launch.rendezvous import Rendezvous
from training.launch.store import Store
from training.slurm.meeting import ENDED, VARIABLE, Told


def told(rendezvous):
    at = rendezvous.meeting
    return Told(at.address, at.port, at.secret, "127.0.0.0/8", {"node1": 2})


def test_what_the_batch_step_tells_reaches_a_rank_in_its_environment():
    given = Told("10.0.0.5", 4711, "secret", "10.0.0.0/24", {"node1": 2, "node2": 1})
    found = Told.here(given.environment())
    assert found == given
    assert list(found.ranks) == ["node1", "node2"]
    assert found.meeting("ib0").environment()["HOROVOD_GLOO_RENDEZVOUS_ADDR"] == "10.0.0.5:4711/secret"
    assert found.meeting("ib0").interface == "ib0"


def test_a_rank_leaves_its_exit_code_once_and_only_with_the_secret():
    store = Store()
    with Rendezvous(store) as rendezvous:
        known = told(rendezvous)
        assert known.ask("GET", ENDED, "1") == 404
        assert known.ask("PUT", ENDED, "1", b"75") == 200
        assert known.ask("PUT", ENDED, "1", b"0") == 409
        assert known._replace(secret="guessed").ask("PUT", ENDED, "0", b"0") == 404
    assert (store.get(ENDED, "1"), store.get(ENDED, "0")) == (b"75", None)


def test_a_meeting_that_cannot_be_reached_is_an_error_that_names_the_way_out():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        there = Told("127.0.0.1", taken.getsockname()[1], "secret", "0.0.0.0/0", {"node1": 1})
        with pytest.raises(OSError, match="refused"):
            there.ask("GET", ENDED, "0")
        done = subprocess.run(
            [sys.executable, "-m", "jobs.slurm.rank", "true"],
            cwd=ROOT, env={"PYTHONPATH": str(ROOT), "SLURM_PROCID": "0"} | there.environment(),
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert VARIABLE not in done.stderr
    if "no address in" in done.stderr:
        pytest.skip("this machine has no network but loopback")
    assert done.returncode == 2
    assert "rank 0: cannot reach port" in done.stderr
    assert "name another network with --nodes-network" in done.stderr
