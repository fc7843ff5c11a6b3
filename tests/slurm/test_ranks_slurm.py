"""Ranks on two nodes of a Slurm, each a few lines of Python: what reaches them, and how they end."""

import json
import shlex
import sys
import textwrap
from pathlib import Path

import pytest
from conftest import ROOT
from slurm_lab import ENDED

pytestmark = pytest.mark.slurm

DRIVER = Path(__file__).with_name("ranks_job.py")

BEGIN = """
import json, os, signal, sys, time
from pathlib import Path
rank = int(os.environ["HOROVOD_RANK"])
start = int(os.environ.get("SLURM_RESTART_COUNT") or 0)
folder = Path(__file__).parent
(folder / f"begun-{start}-{rank}").touch()
def all_have_begun(count=4):
    while len(list(folder.glob(f"begun-{start}-*"))) < count: time.sleep(0.05)
"""


def submit(lab, folder, code, *options, more=()):
    """Submit a job of 4 ranks on 2 nodes that run some code; it writes to folder/log, they to folder/logs."""
    file = folder / "rank.py"
    file.write_text(BEGIN + textwrap.dedent(code))
    step = shlex.join(map(str, [sys.executable, DRIVER, file, folder / "logs", *more]))
    return lab.sbatch(
        "--nodes=2", "--ntasks-per-node=2", "--cpus-per-task=2", "--requeue", "--open-mode=append",
        f"--output={folder}/log", *options, "--wrap", f"exec {step}", cwd=ROOT, env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def begun(lab, job, folder, start=0, mark="begun"):
    """Wait until all ranks of a start have left a mark."""

    def have():
        assert lab.state(job) not in ENDED, log(folder)
        return len(list(folder.glob(f"{mark}-{start}-*"))) == 4

    lab.until(have, f"the ranks of {job} do not begin")


def log(folder):
    return (folder / "log").read_text()


def test_ranks_know_their_places_and_no_command_line_knows_the_secret(lab, tmp_path):
    code = """
    told = {name: os.environ[name] for name in os.environ if name.startswith(("HOROVOD", "POLYNYA"))}
    secret = told["HOROVOD_GLOO_RENDEZVOUS_ADDR"].rpartition("/")[2]
    assert len(secret) > 30
    all_have_begun()
    lines = [file.read_bytes() for file in Path("/proc").glob("[0-9]*/cmdline")]
    seen = [secret.encode() in line for line in lines]
    (folder / f"told-{rank}").write_text(json.dumps(told | {"lines": len(seen), "seen": sum(seen)}))
    print("rank", rank, "on", os.environ["SLURMD_NODENAME"])
    """
    job = lab.wait(submit(lab, tmp_path, code))
    assert (job["JobState"], job["ExitCode"]) == ("COMPLETED", "0:0"), log(tmp_path)
    told = [json.loads((tmp_path / f"told-{rank}").read_text()) for rank in range(4)]
    keys = ("RANK", "SIZE", "LOCAL_RANK", "LOCAL_SIZE", "CROSS_RANK", "CROSS_SIZE", "HOSTNAME", "GLOO_IFACE")
    assert [[each[f"HOROVOD_{key}"] for key in keys] for each in told] == [
        ["0", "4", "0", "2", "0", "2", "node1", "net1"],
        ["1", "4", "1", "2", "0", "2", "node1", "net1"],
        ["2", "4", "0", "2", "1", "2", "node2", "net2"],
        ["3", "4", "1", "2", "1", "2", "node2", "net2"],
    ]
    assert not any("POLYNYA_MEETING" in each for each in told)
    assert all(each["lines"] >= 4 and each["seen"] == 0 for each in told)
    assert told[0]["HOROVOD_GLOO_RENDEZVOUS_ADDR"].startswith(lab.addresses["node1"])
    said = [(tmp_path / f"logs/0/rank-{rank}.log").read_text() for rank in range(4)]
    assert said == [f"[{rank}] rank {rank} on node{1 + rank // 2}\n" for rank in range(4)]


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("print('no more'); sys.exit(3)", "3:0"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "137:0"),
        # The task with its rank: nobody is left to tell how it ended.
        ("os.kill(os.getppid(), signal.SIGKILL); time.sleep(1000)", "137:0"),
    ],
    ids=["exits", "killed", "task killed"],
)
def test_a_rank_that_dies_ends_the_others_and_its_code_comes_through(lab, tmp_path, how, code):
    wait = "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(1000)"
    job = lab.wait(submit(lab, tmp_path, f"all_have_begun()\nif rank == 2: {how}\n{wait}"), timeout=120)
    assert (job["JobState"], job["ExitCode"], job["Restarts"]) == ("FAILED", code, "0"), log(tmp_path)
    if code == "3:0":
        assert "slurm: rank 2 ended with 3; the end of" in log(tmp_path)
        assert log(tmp_path).rstrip().endswith("[2] no more") or "[2] no more\n" in log(tmp_path)


ASKED = """
def leave(number, frame):
    time.sleep(1 + rank / 2)  # none waits for the others here
    (folder / f"saved-{start}-{rank}").touch()
    sys.exit(75)
signal.signal(signal.SIGTERM, leave)
(folder / f"listens-{start}-{rank}").touch()
if start < STARTS: time.sleep(1000)
"""


def saved(folder, start):
    return len(list(folder.glob(f"saved-{start}-*")))


def test_before_the_time_limit_every_rank_is_asked_to_end_and_the_job_begins_anew(lab, tmp_path):
    code = ASKED.replace("STARTS", "1")
    job = submit(lab, tmp_path, code, "--time=60", "--signal=B:TERM@360")
    begun(lab, job, tmp_path, mark="listens")
    lab.limit(job)
    ended = lab.wait(job)
    assert (ended["JobState"], ended["ExitCode"]) == ("COMPLETED", "0:0"), log(tmp_path)
    assert ended["Restarts"] == "1"
    assert (saved(tmp_path, 0), saved(tmp_path, 1)) == (4, 0)
    assert {path.name for path in (tmp_path / "logs").iterdir()} == {"0", "1"}


def test_it_begins_anew_only_so_often(lab, tmp_path):
    job = submit(lab, tmp_path, ASKED.replace("STARTS", "9"), more=["--requeues", "1"])
    for start in range(2):
        begun(lab, job, tmp_path, start, "listens")
        lab.login("scancel", "--signal=TERM", "--batch", job)
    ended = lab.wait(job)
    assert (ended["JobState"], ended["ExitCode"], ended["Restarts"]) == ("FAILED", "75:0", "1"), log(tmp_path)
    assert saved(tmp_path, 1) == 4
    assert "not queued again: it has begun anew 1 times; the next sbatch goes on" in log(tmp_path)


def test_a_cancelled_job_does_not_come_back_and_leaves_nothing(lab, tmp_path):
    job = submit(lab, tmp_path, ASKED.replace("STARTS", "9"))
    begun(lab, job, tmp_path)
    lab.login("scancel", job)
    ended = lab.wait(job)
    assert (ended["JobState"], ended["Restarts"]) == ("CANCELLED", "0")
    ours = str(tmp_path)
    lab.until(
        lambda: not [each for node in lab.nodes for each in lab.command_lines(node) if ours in each],
        "processes of a cancelled job are left",
    )


def test_a_node_that_loses_power_is_replaced_and_the_job_begins_anew(lab, tmp_path):
    job = submit(lab, tmp_path, "if start == 0: time.sleep(1000)")
    begun(lab, job, tmp_path)
    lab.down("node2")
    try:
        ended = lab.wait(job)
        assert (ended["JobState"], ended["Restarts"], ended["NodeList"]) == ("COMPLETED", "1", "node[1,3]")
    finally:
        lab.up("node2")


@pytest.fixture
def without(lab):
    """Return a function that lays something over a path, on one node only."""
    covered = []

    def cover(node, path, other=None):
        how = ["--bind", other] if other else ["-t", "tmpfs", "none"]
        lab.run_on(node, "mount", *how, path)
        covered.append((node, path))

    yield cover
    for node, path in covered:
        lab.run_on(node, "umount", path)


def refused(lab, folder, **more):
    job = lab.wait(submit(lab, folder, "raise SystemExit('no rank should begin')", **more))
    assert (job["JobState"], job["ExitCode"]) == ("FAILED", "2:0"), log(folder)
    assert not list(folder.glob("begun-*"))
    return log(folder)


def test_a_folder_that_is_another_one_on_a_node(lab, tmp_path, without):
    logs = tmp_path / "logs"
    logs.mkdir()
    without("node2", logs)
    assert f"slurm: {logs}/0 is not the same folder on node2 as where" in refused(lab, tmp_path)


def test_python_that_is_not_there_on_a_node(lab, tmp_path, without):
    python = tmp_path / "bin/python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    without("node2", python.parent)
    said = refused(lab, tmp_path, more=["--python", python])
    assert "slurm: nothing came back from node2: the job's Python (VENV or RANKS in the batch script)" in said


def test_code_of_another_checkout_on_a_node(lab, tmp_path, without):
    other = tmp_path / "sieve.py"
    other.write_text("# another version\n")
    without("node2", ROOT / "jobs/sieve.py", other)
    assert "on node1 and" in refused(lab, tmp_path)
    assert "on node2: start from one checkout" in log(tmp_path)


def test_a_node_whose_own_name_leads_back_to_itself(lab, tmp_path):
    """As Debian writes it; see preflight.py for what Horovod makes of it."""
    hosts = lab.hosts_file("node2")
    before = hosts.read_text()
    hosts.write_text(f"127.0.1.1 node2\n{before}")
    try:
        assert "slurm: the own name of node2 leads to 127.0.1.1" in refused(lab, tmp_path)
    finally:
        hosts.write_text(before)


def test_a_network_that_is_not_there(lab, tmp_path):
    said = refused(lab, tmp_path, more=["--network", "10.200.0.0/16"])
    assert f"no addresses of their own in 10.200.0.0/16 (node1 has net1 {lab.addresses['node1']}/24" in said


def test_fewer_gpus_than_ranks(lab, tmp_path):
    job = lab.wait(submit(lab, tmp_path, "", "--gpus-per-node=1"))
    assert job["ExitCode"] == "2:0"
    assert "node1 has 1 GPUs for 2 ranks: make --gpus-per-node and --ntasks-per-node" in log(tmp_path)
