"""Jobs that servers and files keep waiting: they give the scene up, and SIGTERM ends them at once."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import psutil
import pytest
from conftest import ROOT, patchwork, planar
from endless_land import write_endless_land
from pictures import write_tif
from rasterio.transform import from_origin
from slow_server import SlowServer
from stac_catalogues import write_cog
from stac_server import FileServer

from labeling.files.links import VARIABLE

pytestmark = pytest.mark.slow

HEAD = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-16383/99999\r\nContent-Length: 16384\r\n\r\n"
PLACE = {"crs": "EPSG:32758", "transform": from_origin(399_960, 1_700_040, 10, 10)}
PATIENCE = 5.0
"""Seconds in which SIGTERM ends a job."""


def write_item(folder, places):
    """An item whose bands are where `places` say."""
    scaling = {"raster:bands": [{"scale": 0.0001, "offset": -0.1}]}
    content = {"type": "Feature", "stac_version": "1.0.0", "id": "S2B_58CDU_20191103_0_L2A"}
    angles = {
        "view:sun_elevation": 30,
        "view:sun_azimuth": 50,
        "view:incidence_angle": 4,
        "view:azimuth": 100,
    }
    content["properties"] = {"constellation": "sentinel-2", "s2:product_type": "S2MSI2A", **angles}
    content["assets"] = {key: {"href": place, **scaling} for key, place in places.items()}
    path = folder / "item.json"
    path.write_text(json.dumps(content))
    return path


def write_bands(folder):
    """A folder with three bands; return the item's places for them."""
    for number, name in enumerate(("red", "green", "blue")):
        dn = np.random.default_rng(number).integers(1100, 9000, (640, 640)).astype(np.uint16)
        write_cog(folder / f"{name}.tif", dn, PLACE)
    return ("red", "green", "blue")


@contextmanager
def started(tmp_path, *options):
    command = [
        sys.executable,
        "-m",
        "jobs.label",
        "--out",
        tmp_path / "run",
        "--master",
        "local[2]",
        *options,
    ]
    with subprocess.Popen(
        [*map(str, command), "--log", "json", "--outputs", "labels"],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def wait_for(condition, seconds=200):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def ends_by_sigterm(tmp_path, process):
    """Assert that a job that waits ends within five seconds, with its lock and all that it started."""
    assert (tmp_path / "run/.lock").exists()
    family = psutil.Process(process.pid).children(recursive=True)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    code = process.wait(timeout=30)
    lasted = time.monotonic() - began
    assert code == 128 + signal.SIGTERM
    assert lasted < PATIENCE
    assert not list((tmp_path / "run").glob(".lock*"))
    _, alive = psutil.wait_procs(family, timeout=max(0.1, PATIENCE - lasted))
    assert not alive


@pytest.mark.parametrize(("head", "pause"), [(b"", None), (HEAD, 1.0)])
@pytest.mark.parametrize("what", ["item", "band"])
def test_sigterm_while_a_server_keeps_the_job_waiting(tmp_path, monkeypatch, what, head, pause):
    with SlowServer(head, pause) as server:
        monkeypatch.setenv(VARIABLE, server.url(""))
        scene = server.url("item.json")
        if what == "band":
            scene = write_item(tmp_path, dict.fromkeys(("red", "green", "blue"), server.url("band.tif")))
        with started(tmp_path, "--scenes", scene) as process:
            wait_for(lambda: server.asked)
            time.sleep(0.5)
            ends_by_sigterm(tmp_path, process)


def test_sigterm_while_the_land_file_has_no_end(tmp_path):
    scene = write_tif(tmp_path / "a.tif", planar(patchwork(90, 80, seed=1)))
    land = write_endless_land(tmp_path / "land.gpkg")
    (tmp_path / "label.yaml").write_text(f"land: {{vector: {land}, layer: endless}}\n")
    with started(tmp_path, "--scenes", scene, "--config", tmp_path / "label.yaml") as process:
        wait_for(lambda: (tmp_path / "run/catalog.parquet").exists())
        parent = psutil.Process(process.pid)
        wait_for(lambda: any(child.cpu_times().user > 0.5 for child in parent.children(recursive=True)))
        ends_by_sigterm(tmp_path, process)


def test_sigterm_while_a_worker_waits_for_a_band(tmp_path, monkeypatch):
    names = write_bands(tmp_path)
    with FileServer(tmp_path) as server:
        monkeypatch.setenv(VARIABLE, server.url(""))
        server.stall("green.tif")  # the driver looks at the red one only
        item = write_item(tmp_path, {name: server.url(f"{name}.tif") for name in names})
        with started(tmp_path, "--scenes", item) as process:
            wait_for(lambda: server.requests("green.tif"))
            time.sleep(0.5)
            ends_by_sigterm(tmp_path, process)


@pytest.mark.parametrize("late", ["red", "green"])
def test_a_scene_that_takes_too_long_fails_alone(tmp_path, monkeypatch, late):
    names = write_bands(tmp_path)
    good = write_tif(tmp_path / "good.tif", planar(patchwork(90, 80, seed=1)))
    (tmp_path / "label.yaml").write_text("limits: {seconds: 6}\n")
    with FileServer(tmp_path) as server:
        monkeypatch.setenv(VARIABLE, server.url(""))
        server.stall(f"{late}.tif")
        item = write_item(tmp_path, {name: server.url(f"{name}.tif") for name in names})
        options = ("--scenes", item, good, "--config", tmp_path / "label.yaml")
        with started(tmp_path, *options) as process:
            said = process.communicate(timeout=120)[1]
    assert process.returncode == 3, said
    [failure] = map(json.loads, (tmp_path / "run/failures.jsonl").read_text().splitlines())
    assert "given up after 6 seconds, as limits.seconds says" in failure["reason"]
    assert failure["step"] == ("open" if late == "red" else "label")
    assert [mark.parent.name for mark in (tmp_path / "run/labels").glob("*/done.json")] == ["good"]
    assert not list((tmp_path / "run").glob(".lock*"))
