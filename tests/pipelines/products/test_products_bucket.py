"""Products of a run in a bucket of a real server are those of the same run on a disk."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import rasterio
from affine import Affine
from conftest import ROOT
from map_factory import MapFactory
from s3_server import S3Server

pytestmark = pytest.mark.slow


def products(run, **variables):
    command = [sys.executable, "-m", "jobs.products", "--run", str(run), "--master", "local[2]"]
    return subprocess.run(command, cwd=ROOT, env=os.environ | variables, capture_output=True, text=True)


def test_products_in_a_bucket(tmp_path):
    factory = MapFactory(tmp_path / "run")
    rng = np.random.default_rng(6)
    for number, name in enumerate("ab"):
        classes = rng.choice(np.array([0, 1, 2, 255], np.uint8), (300, 300))
        place = Affine(10, 0, 1000 * number, 0, -10, 0)
        factory.add(name, classes, "EPSG:3031", place, time="2019-11-03T20:00:00Z")
    run = factory.write()
    with S3Server(tmp_path / "server") as server:
        bucket = server.make_bucket("out")
        shutil.copytree(run.root, bucket / "run")
        said = products("s3://out/run", **server.environment)
        assert said.returncode == 0, said.stderr
        again = products("s3://out/run", **server.environment)
        assert again.returncode == 0, again.stderr
        assert products(run.root).returncode == 0
        for name in ("mosaic.tif", "age.tif", "scene.tif"):
            here, there = (folder / "products" / "mosaic" / name for folder in (run.root, bucket / "run"))
            with rasterio.open(here) as one, rasterio.open(there) as other:
                np.testing.assert_array_equal(one.read(1), other.read(1))
        for name in ("scenes.csv", "cells.csv"):
            here, there = (folder / "products" / "statistics" / name for folder in (run.root, bucket / "run"))
            assert here.read_bytes() == there.read_bytes()
        assert (bucket / "run" / "products" / "concentration" / "concentration.nc").stat().st_size
