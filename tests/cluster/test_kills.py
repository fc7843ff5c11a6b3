"""Processes killed with -9 in the middle of a job on a cluster, and two attempts at one task at a time.

"In the middle" is exact: held_label.py stops a task between writing a file and giving it its name.
"""

import json
import os
import signal
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import spark_cluster
from conftest import ROOT, patchwork, planar
from pictures import write_tif
from spark_cluster import wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

HELD = {"decode_tasks": 2, "exclude_scene": 2, "compare_tasks": 1, "write_scene": 1, "label_whole_scenes": 1}
"""Function of each stage, and at which of its files it is held."""

SPECULATION = [
    "spark.speculation=true", "spark.speculation.quantile=0.1", "spark.speculation.multiplier=1.1",
    "spark.speculation.interval=50ms",
]  # fmt: skip


@pytest.fixture(scope="module")
def master(tmp_path_factory):
    with spark_cluster.standalone(tmp_path_factory.mktemp("cluster")) as url:
        yield url


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Three pictures with a black corner, so that the whole scene decides what of it is no-data."""
    folder = tmp_path_factory.mktemp("scenes")
    for seed, name in enumerate("deg"):  # Spark's hash gives these to different tasks
        rgb = patchwork(200, 260, seed=seed)
        rows, columns = np.mgrid[:200, :260]
        rgb[rows + columns < 90] = 0
        write_tif(folder / f"{name}.tif", planar(rgb))
    return folder


class Driver:
    """A submitted held_label.py."""

    def __init__(self, master, folder, *conf):
        self.folder = folder
        self._log = folder / "driver.log"
        self._numbers = map(str, count(1))
        options = [part for text in conf for part in ("--conf", text)]
        main = ROOT / "tests/cluster/held_label.py"
        with self._log.open("w") as log:
            self.process = spark_cluster.submit(
                master, main, folder, options=options, env={"PYTHONPATH": str(ROOT)}, stdout=log
            )

    def ask(self, arguments, stage="write_scene", attempts=0):
        """Start a request; return its number."""
        number = next(self._numbers)
        asked = {"arguments": arguments, "stage": stage, "file": HELD[stage], "attempts": attempts}
        unnamed = self.folder / "request"
        unnamed.write_text(json.dumps(asked))
        unnamed.rename(self.folder / f"{number}.json")
        return number

    def held(self, number, attempt=0):
        """Return the processes of an attempt that is held."""
        return json.loads(self._wait(f"{number}.held-{attempt}"))

    def result(self, number):
        return json.loads(self._wait(f"{number}.result"))

    def _wait(self, name):
        file = self.folder / name
        wait_for(lambda: file.exists() or self.process.poll() is not None, file, self._log.read_text)
        return file.read_text()

    def kill(self):
        spark_cluster.kill_group(self.process)


def driver_of(master, folder, *conf):
    driver = Driver(master, folder, *conf)
    try:
        yield driver
    finally:
        driver.kill()


@pytest.fixture(scope="module")
def driver(master, tmp_path_factory):
    yield from driver_of(master, tmp_path_factory.mktemp("driver"))


def arguments(scenes, run, stage="write_scene"):
    cut = "never" if stage == "label_whole_scenes" else "always"
    options = {"scenes": scenes, "out": run, "cut": cut, "block-size": 200, "outputs": "labels"}
    return [part for name, value in options.items() for part in (f"--{name}", str(value))]


@pytest.fixture(scope="module")
def undisturbed(driver, scenes, tmp_path_factory):
    """Labels of a run that nobody disturbs."""
    run = tmp_path_factory.mktemp("undisturbed")
    number = driver.ask(arguments(scenes, run))
    assert driver.result(number) == {"done": 3, "failures": []}
    return labels(run)


def labels(run):
    return {file.parent.name: file.read_bytes() for file in run.glob("labels/*/labels.tif")}


def leftovers(run):
    return [*run.rglob("*.part*"), *run.glob(".scratch/*")]


# Of workers one: tests/pipelines/test_label_spark.py kills them in every stage, without a cluster.
@pytest.mark.parametrize(
    ("stage", "victim"), [*((stage, "executor") for stage in HELD), ("write_scene", "worker")]
)
def test_a_killed_process_changes_nothing(driver, scenes, undisturbed, tmp_path, stage, victim):
    number = driver.ask(arguments(scenes, tmp_path, stage), stage, attempts=1)
    processes = driver.held(number)
    assert leftovers(tmp_path)  # it is in the middle of writing
    assert b"CoarseGrainedExecutorBackend" in Path(f"/proc/{processes['executor']}/cmdline").read_bytes()
    os.kill(processes[victim], signal.SIGKILL)
    assert driver.result(number) == {"done": 3, "failures": []}
    assert labels(tmp_path) == undisturbed
    assert not leftovers(tmp_path)


def test_after_a_killed_driver_a_rerun_does_what_is_missing(master, driver, scenes, undisturbed, tmp_path):
    number = driver.ask(arguments(scenes, tmp_path), attempts=1)
    driver.held(number)
    marks = "labels/*/done.json"
    wait_for(lambda: list(tmp_path.glob(marks)), "a scene that is not held")
    driver.kill()
    assert list(tmp_path.rglob("labels/*/*.part*"))
    assert list(tmp_path.glob(".scratch/*/*"))
    done = {file: file.stat().st_mtime_ns for mark in tmp_path.glob(marks) for file in mark.parent.iterdir()}
    assert done
    code, printed = spark_cluster.run(
        master, ROOT / "jobs/label.py", *arguments(scenes, tmp_path), env={"PYTHONPATH": str(ROOT)}
    )
    assert code == 0, printed
    assert labels(tmp_path) == undisturbed
    assert {file: file.stat().st_mtime_ns for file in done} == done
    assert not leftovers(tmp_path)


@pytest.fixture(scope="module")
def speculating(master, driver, undisturbed, tmp_path_factory):
    driver.kill()  # there is room for one
    yield from driver_of(master, tmp_path_factory.mktemp("speculating"), *SPECULATION)


@pytest.mark.parametrize("stage", HELD)
def test_two_attempts_at_one_task_give_the_same_bytes(speculating, scenes, undisturbed, tmp_path, stage):
    number = speculating.ask(arguments(scenes, tmp_path, stage), stage, attempts=2)
    first, second = (speculating.held(number, attempt) for attempt in range(2))
    assert first["file"] == second["file"]
    assert first["executor"] != second["executor"]
    assert speculating.result(number) == {"done": 3, "failures": []}
    assert labels(tmp_path) == undisturbed
