"""The lab is a cluster: its nodes are hosts of their own, and what happens to one is what Slurm then says."""

import psutil
import pytest

pytestmark = pytest.mark.slurm


def script(folder, *lines):
    """Return the last arguments of an sbatch for a job of these lines, which writes to `log`."""
    file = folder / "job.sh"
    file.write_text("\n".join(["#!/bin/bash", *lines, ""]))
    return ["--output", folder / "log", file]


def test_a_job_runs_on_hosts_of_their_own_that_share_files(lab, tmp_path):
    job = lab.sbatch("--nodes=2", *script(tmp_path, "srun --label bash -c 'hostname; hostname -i'"))
    assert lab.wait(job)["JobState"] == "COMPLETED", lab.told()
    first, second = lab.nodes[:2]
    assert sorted((tmp_path / "log").read_text().splitlines()) == [
        *(f"0: {lab.addresses[first]}", f"0: {first}"),
        *(f"1: {lab.addresses[second]}", f"1: {second}"),
    ]


def test_exit_codes_come_through(lab, tmp_path):
    job = lab.wait(lab.sbatch(*script(tmp_path, "exit 75")))
    assert (job["JobState"], job["ExitCode"]) == ("FAILED", "75:0")


def test_gpus_are_given_out(lab, tmp_path):
    job = lab.sbatch("--gpus-per-node=8", *script(tmp_path, "echo $CUDA_VISIBLE_DEVICES"))
    lab.wait(job)
    assert (tmp_path / "log").read_text() == "0,1,2,3,4,5,6,7\n"


def test_a_job_whose_node_loses_power_begins_again(lab, tmp_path):
    lines = ["echo begun ${SLURM_RESTART_COUNT:-0}", '[ -n "$SLURM_RESTART_COUNT" ] || sleep 1000']
    job = lab.sbatch("--requeue", "--nodelist=node1,node2", "--open-mode=append", *script(tmp_path, *lines))
    lab.wait(job, {"RUNNING"})
    lab.down("node2")
    try:
        lab.wait(job, {"PENDING"})
    finally:
        lab.up("node2")
    ended = lab.wait(job)
    assert (ended["JobState"], ended["Restarts"]) == ("COMPLETED", "1")
    assert (tmp_path / "log").read_text().splitlines()[-1] == "begun 1"


def test_two_labs_do_not_meet_and_one_ends_without_a_trace(lab, tmp_path):
    with type(lab)(tmp_path / "lab", nodes=1) as other:
        assert other.login("sinfo", "-h", "-o", "%D").stdout == "1\n"
        assert lab.login("sinfo", "-h", "-o", "%D").stdout == "3\n"
        lines = ["trap '' TERM HUP INT", "while true; do sleep 1; done"]
        other.wait(other.sbatch(*script(tmp_path, *lines)), {"RUNNING"})
        running = other.processes("node1")
        assert "slurmd" in {process.name() for process in running}
    assert psutil.wait_procs(running, timeout=60)[1] == []
