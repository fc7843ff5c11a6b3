"""Nights as jobs of Slurm: each submits the next one, and one that is killed breaks no chain."""

import json

import pytest
from conftest import ROOT
from sites import Archive
from spark_jobs import environment

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


def test_nights_follow_each_other(lab, tmp_path):
    archive = Archive(tmp_path)
    archive.scene("a", 1)
    archive.configure()
    lab.sbatch(
        "--cpus-per-task=2", "--mem=4000", "--job-name=nightly", ROOT / "jobs/slurm/nightly.sbatch",
        "--config", archive.file, cwd=tmp_path, env=environment() | {"AT": "now + 3 seconds"},
    )  # fmt: skip
    try:
        lab.until((archive.out / "nights/0001.json").exists, logs(tmp_path), 900)
        archive.scene("b", 2)
        lab.until((archive.out / "nights/0002.json").exists, logs(tmp_path), 900)
    finally:
        lab.login("scancel", "--name=nightly")
    ends = [json.loads((archive.out / f"nights/{number:04d}.json").read_text()) for number in (1, 2)]
    assert [end["exit_code"] for end in ends] == [0, 0]
    assert ends[0]["new"] == ["a"]
    assert len(list(tmp_path.glob("nightly-*.log"))) >= 2


def logs(folder):
    return "\n".join(file.read_text() for file in folder.glob("nightly-*.log"))
