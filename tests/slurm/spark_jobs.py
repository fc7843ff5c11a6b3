"""Labelling as users submit it, on a lab's nodes, and what it leaves."""

import hashlib
import sys
import time
from pathlib import Path

import psutil
from conftest import ROOT

SMALL = ("--cpus-per-task=2", "--mem=4000")
"""For sbatch: what these nodes have."""

FLAGS = ("--executor-memory", "512", "--driver-memory", "512")
"""For jobs.slurm.spark: several nodes share this machine's memory."""


def submit(lab, folder, scenes, run, *flags, sbatch=(), script="label"):
    """Submit labelling on two nodes from `folder` and return the job's number; its log is `log`."""
    options = [*SMALL, "--output", folder / "log", *sbatch]
    return lab.sbatch(
        *options, ROOT / f"jobs/slurm/{script}.sbatch", *FLAGS, "--scenes", scenes, "--out", run, *flags,
        cwd=folder, env=environment(),
    )  # fmt: skip


def environment():
    """Return what a user has set who works from elsewhere than the checkout."""
    return {"POLYNYA": str(ROOT), "VENV": sys.prefix, "PYTHONPATH": ""}


def finished(run):
    """Return the ids of the scenes that are labelled."""
    return sorted(mark.parent.name for mark in Path(run).glob("labels/*/done.json"))


def in_the_middle(lab, job, run, count):
    """Wait until some of `count` scenes are labelled, not all, and return which; beside `run` is `log`."""
    limit = time.monotonic() + 600
    while not (found := finished(run)):
        assert lab.state(job) in ("PENDING", "RUNNING"), run.with_name("log").read_text()
        assert time.monotonic() < limit, run.with_name("log").read_text()
        time.sleep(0.05)
    assert len(found) < count, "all were labelled before anything could happen to them"
    assert lab.state(job) == "RUNNING"
    return found


def begun_anew(lab, job):
    """Wait until Slurm has queued a job again; it may be running again by then."""
    limit = time.monotonic() + 600
    while lab.job(job)["Restarts"] == "0":
        assert time.monotonic() < limit, lab.job(job)
        time.sleep(0.2)


def digests(run):
    """Return the sha256 of every file of all labels, by its path in the run."""
    files = [file for file in Path(run).glob("labels/**/*") if file.is_file()]
    return {str(file.relative_to(run)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def java(lab):
    """Return the processes of Java on all nodes."""
    return [each for node in lab.nodes for each in lab.processes(node) if lives(each, "java")]


def lives(process, name):
    """Tell whether a process of that name is there: orphans that nobody asks after their end are not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE and process.name() == name
    except psutil.NoSuchProcess:
        return False


def left_of(processes, seconds=120):
    """Wait until processes of Java have ended; what is left after a while is returned."""
    limit = time.monotonic() + seconds
    while (left := [each for each in processes if lives(each, "java")]) and time.monotonic() < limit:
        time.sleep(0.2)
    return left
