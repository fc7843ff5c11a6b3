"""Shapes that would take hours or all memory: given up within bounds, and nothing of them stays."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import shapely
from affine import Affine
from endless_land import write_endless_land, write_land
from rasterio.crs import CRS

from labeling.errors import ConfigError
from labeling.masks import bounded as module
from labeling.masks.bounded import bounded
from labeling.masks.polygons import VectorLayer, land_mask, open_layer

PLACE = {
    "crs": CRS.from_epsg(4326),
    "transform": Affine(0.01, 0, 0, 0, -0.01, 1),
    "height": 100,
    "width": 100,
}


def given_up(call, *words, within):
    began = time.monotonic()
    with pytest.raises(ConfigError) as caught:
        call()
    assert time.monotonic() - began < within
    for word in (*words, "Fix Geometries"):
        assert word in str(caught.value)
    assert not multiprocessing.active_children()


def test_what_work_returns_and_raises_comes_through():
    assert bounded(lambda: shapely.box(0, 0, 1, 1), "it").area == 1
    with pytest.raises(ConfigError, match="as it was"):
        bounded(lambda: (_ for _ in ()).throw(ConfigError("as it was")), "it")


def test_time_memory_and_death_are_told():
    given_up(
        lambda: bounded(lambda: time.sleep(60), "the file", seconds=0.5), "the file was given", within=10
    )
    given_up(lambda: bounded(lambda: bytes(1 << 30), "it", memory=1 << 28), "more than 256 MiB", within=10)
    given_up(lambda: bounded(lambda: os._exit(1), "the file"), "the file ended the process", within=10)


def test_twenty_thousand_random_points_stay_within_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 20.0)
    points = np.random.default_rng(0).random((20_000, 2))
    path = write_land(tmp_path / "land.gpkg", [shapely.Polygon([*points, points[0]])])
    layer = open_layer(path)
    before = psutil.Process().memory_info().rss
    given_up(lambda: land_mask(layer, **PLACE), "layer 'land'", str(path), within=60)
    assert psutil.Process().memory_info().rss - before < 1 << 28


def test_a_view_without_end_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SECONDS", 3.0)
    path = write_endless_land(tmp_path / "land.gpkg")
    given_up(lambda: open_layer(path, "endless"), f"the land file {path}", within=20)
    given_up(
        lambda: land_mask(VectorLayer(path, "endless", "EPSG:4326"), **PLACE), "layer 'endless'", within=20
    )
    assert land_mask(open_layer(path, "land"), **PLACE).all()


def not_in_a_fork():
    """Die in a fork of this process, as libraries that threads have used may."""
    if multiprocessing.parent_process():
        os.kill(os.getpid(), signal.SIGSEGV)
    return os.getpid()


def test_what_dies_in_a_fork_is_done_in_a_new_process():
    assert bounded(not_in_a_fork, "it") != os.getpid()


def test_a_pipe_is_no_land_file(tmp_path):
    os.mkfifo(tmp_path / "land.gpkg")
    with pytest.raises(ConfigError, match="no file, but a pipe"):
        open_layer(tmp_path / "land.gpkg")


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help")
def test_the_process_ends_with_its_job_however_that_ends(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from labeling.masks.bounded import bounded; import os; "
        "bounded(lambda: (Path(sys.argv[1]).write_text(str(os.getpid())), time.sleep(100)), 'it')"
    )
    mark = Path(tmp_path / "pid")
    with subprocess.Popen([sys.executable, "-c", code, str(mark)]) as process:
        while not mark.exists() or not mark.read_text():
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
    child = int(mark.read_text())
    psutil.wait_procs([psutil.Process(child)] if psutil.pid_exists(child) else [], timeout=5)
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE
