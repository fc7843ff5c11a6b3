"""Shapes that would take hours or all memory: given up within bounds, and nothing of them stays."""

import os
import signal
import subprocess
import sys
import time
from functools import partial

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
from labeling.masks.layers import VectorLayer, _check_layer, open_layer
from labeling.masks.polygons import land_mask

PLACE = {
    "crs": CRS.from_epsg(4326),
    "transform": Affine(0.01, 0, 0, 0, -0.01, 1),
    "height": 100,
    "width": 100,
}


def workers():
    """The processes that work: what our helpers have forked."""
    helpers = [one for one in psutil.Process().children() if "labeling.masks.bounded" in one.cmdline()]
    return [fork for helper in helpers for fork in helper.children()]


def given_up(call, *words, within):
    began = time.monotonic()
    with pytest.raises(ConfigError) as caught:
        call()
    assert time.monotonic() - began < within
    for word in (*words, "Fix Geometries"):
        assert word in str(caught.value)
    _, alive = psutil.wait_procs(workers(), timeout=5)
    assert not alive


def test_what_work_returns_and_raises_comes_through(tmp_path):
    assert bounded(partial(shapely.box, 0, 0, 1, 1), "it").area == 1
    with pytest.raises(ConfigError, match=r"^cannot read the land file .*absent\.gpkg"):
        bounded(partial(_check_layer, tmp_path / "absent.gpkg", None), "it")


def test_time_memory_and_death_are_told():
    bounded(int, "it")  # the helper has started
    given_up(lambda: bounded(partial(time.sleep, 60), "the file", seconds=0.5), "was given up", within=10)
    given_up(lambda: bounded(partial(bytes, 1 << 30), "it", memory=1 << 28), "more than 256 MiB", within=10)
    given_up(lambda: bounded(partial(os._exit, 1), "the file"), "ended the process", within=10)


def test_a_helper_that_was_ended_is_replaced():
    bounded(int, "it")
    for child in psutil.Process().children():
        if "labeling.masks.bounded" in child.cmdline():
            child.kill()
            psutil.wait_procs([child], timeout=5)
    assert bounded(int, "it") == 0


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
    monkeypatch.undo()
    assert land_mask(open_layer(path, "land"), **PLACE).all()


def test_a_pipe_is_no_land_file(tmp_path):
    os.mkfifo(tmp_path / "land.gpkg")
    with pytest.raises(ConfigError, match="no file, but a pipe"):
        open_layer(tmp_path / "land.gpkg")


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help")
def test_the_processes_end_with_their_job_however_that_ends():
    code = "import time; from functools import partial; from labeling.masks.bounded import bounded; "
    code += "bounded(partial(time.sleep, 100), 'it')"
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        family, until = [], time.monotonic() + 60
        while len(family) < 2:  # helper and fork
            assert time.monotonic() < until
            family = psutil.Process(process.pid).children(recursive=True)
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        _, alive = psutil.wait_procs(family, timeout=5)
        assert not alive
