"""Nodes that cannot take part are named before any Java starts, in a sentence with the way out."""

import os
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from spark_jobs import java, submit

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


@contextmanager
def hidden(lab, folder, node="node2"):
    """Let a node see an empty folder in the place of one of the machine's."""
    lab.run_on(node, "mount", "-t", "tmpfs", "none", folder)
    try:
        yield
    finally:
        lab.run_on(node, "umount", folder)


def refusal(lab, folder):
    """Submit labelling, which ends with code 2, and return what was said; no Java has run."""
    run = folder / "run"
    job = lab.wait(submit(lab, folder, folder / "scenes", run, sbatch=["--nodelist=node1,node2"]))
    said = (folder / "log").read_text()
    assert (job["JobState"], job["ExitCode"]) == ("FAILED", "2:0"), said
    assert not list(run.glob("logs/*/master.log"))
    assert java(lab) == []
    return said


def test_no_java(lab, tmp_path):
    with hidden(lab, Path(os.path.realpath("/usr/bin/java")).parents[2]):
        said = refusal(lab, tmp_path)
    assert "label: on node2: Spark needs Java, and no java is on PATH. Install Java 17 or 21" in said


def test_no_python(lab, tmp_path):
    with hidden(lab, Path(sys.prefix, "bin").resolve()):
        said = refusal(lab, tmp_path)
    assert "nothing came back from node2: the job's Python (VENV or RANKS" in said


def test_another_folder(lab, tmp_path):
    (tmp_path / "run").mkdir()
    with hidden(lab, tmp_path / "run"):
        said = refusal(lab, tmp_path)
    assert "is not the same folder on node2" in said


def test_no_job_of_slurm(lab, tmp_path):
    command = [sys.executable, "-m", "jobs.slurm.spark", "label", "--scenes", "s", "--out", tmp_path / "run"]
    ended = lab.login(*command, check=False)
    assert ended.returncode == 2
    assert "submit it with sbatch" in ended.stderr


def test_a_flag_that_is_none(lab, tmp_path):
    job = lab.wait(submit(lab, tmp_path, "s", "run", "--chip-size", "many"))
    assert job["ExitCode"] == "2:0"
    assert "invalid int value: 'many'" in (tmp_path / "log").read_text()
