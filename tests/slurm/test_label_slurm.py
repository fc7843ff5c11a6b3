"""Labelling on the nodes of a job: the bytes of one machine, whatever happens meanwhile."""

import subprocess
import sys

import psutil
import pytest
from conftest import ROOT, patchwork, planar
from pictures import write_tif
from spark_jobs import begun_anew, digests, finished, in_the_middle, java, left_of, submit

from labeling.simulation.product import write_product_scene
from labeling.simulation.scene import SceneSpec

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

SCENES = 7
OUTPUTS = ("--outputs", "labels,quicklook")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Six pictures, and a product, whose results have a STAC item too."""
    folder = tmp_path_factory.mktemp("scenes")
    for number in range(SCENES - 1):
        write_tif(folder / f"scene-{number}.tif", planar(patchwork(800, 800, seed=number)))
    write_product_scene(folder, SceneSpec(scene_id="product", height=240, width=240), product_type="L1C")
    return folder


@pytest.fixture(scope="module")
def here(scenes, tmp_path_factory):
    """What one machine makes of the scenes: the digest of each file."""
    run = tmp_path_factory.mktemp("here") / "run"
    command = [sys.executable, "-m", "jobs.label", "--scenes", scenes, "--out", run, *OUTPUTS]
    subprocess.run([*command, "--master", "local[2]"], cwd=ROOT, check=True)
    found = digests(run)
    assert len(finished(run)) == SCENES
    assert any(name.endswith("item.json") for name in found)
    return found


@pytest.fixture(scope="module", autouse=True)
def names(lab):
    """Have nodes call themselves as Debian does: by an address that nobody else reaches them at."""
    files = {node: lab.hosts_file(node) for node in lab.nodes}
    before = {node: file.read_text() for node, file in files.items()}
    for node, file in files.items():
        file.write_text(f"127.0.1.1 {node}\n{before[node]}")
    assert lab.run_on("node1", "getent", "ahostsv4", "node1").stdout.startswith("127.0.1.1")
    yield
    for node, file in files.items():
        file.write_text(before[node])


@pytest.fixture
def job(lab, tmp_path, scenes):
    """A job that labels into `tmp_path / "run"`, when it has done some of it."""
    number = submit(lab, tmp_path, scenes, tmp_path / "run", *OUTPUTS)
    in_the_middle(lab, number, tmp_path / "run", SCENES)
    yield number
    lab.login("scancel", number, check=False)


def test_a_worker_that_is_killed_costs_nothing_and_nobody_sees_the_secret(lab, job, tmp_path, here):
    (conf,) = tmp_path.glob("run/logs/*/spark.conf")
    assert conf.stat().st_mode & 0o077 == 0
    secret = dict(line.split(maxsplit=1) for line in conf.read_text().splitlines())[
        "spark.authenticate.secret"
    ]
    workers = [each for each in java(lab) if "org.apache.spark.deploy.worker.Worker" in each.cmdline()]
    assert len(workers) == 2
    commands = [" ".join(each.info["cmdline"] or []) for each in psutil.process_iter(["cmdline"])]
    workers[-1].kill()
    ended = lab.wait(job, timeout=1800)
    said = (tmp_path / "log").read_text()
    assert (ended["JobState"], ended["Restarts"]) == ("COMPLETED", "0"), said
    assert "starting it again" in said
    assert digests(tmp_path / "run") == here
    assert not [command for command in commands if secret in command]
    kept = {file.name for file in tmp_path.glob("run/logs/*/*")}
    assert {"master.log", "worker-node1.log", "worker-node2.log"} <= kept
    assert "spark.conf" not in kept
    assert left_of(java(lab)) == []


def test_a_job_asked_to_end_is_queued_again_and_does_the_rest(lab, job, tmp_path, here):
    first = java(lab)
    lab.login("scancel", "--signal=TERM", "--batch", job)  # as --signal=B:TERM@120 does before a time limit
    begun_anew(lab, job)
    assert left_of(first) == []
    before = {
        name: (tmp_path / "run" / "labels" / name / "done.json").stat() for name in finished(tmp_path / "run")
    }
    assert 0 < len(before) < SCENES
    ended = lab.wait(job, timeout=1800)
    assert (ended["JobState"], ended["Restarts"]) == ("COMPLETED", "1"), (tmp_path / "log").read_text()
    assert digests(tmp_path / "run") == here
    for name, mark in before.items():
        assert (tmp_path / "run" / "labels" / name / "done.json").stat().st_ino == mark.st_ino


@pytest.mark.parametrize("lost", ["node1", "node2"])
def test_a_node_that_loses_power(lab, job, tmp_path, here, lost):
    lab.down(lost)  # the first has the batch script, Spark's Master and the driver
    try:
        begun_anew(lab, job)
        ended = lab.wait(job, timeout=1800)  # on the third
        assert (ended["JobState"], ended["Restarts"]) == ("COMPLETED", "1"), (tmp_path / "log").read_text()
        assert lost not in lab.login("scontrol", "show", "hostnames", ended["NodeList"]).stdout.split()
    finally:
        lab.up(lost)
    assert digests(tmp_path / "run") == here


def test_scancel_leaves_nothing_behind(lab, job, tmp_path, scenes):
    lab.login("scancel", job)
    assert lab.wait(job, timeout=1800)["JobState"] == "CANCELLED"
    assert left_of(java(lab)) == []
    assert not list(tmp_path.glob("run/logs/*/spark.conf"))
    assert not (tmp_path / "run/.lock").exists()
