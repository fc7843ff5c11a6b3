"""Products of a run in a bucket of a real server are those of the same run on a disk."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pyogrio
import pystac
import pytest
import rasterio
from affine import Affine
from conftest import ROOT
from map_factory import MapFactory
from s3_server import S3Server

pytestmark = pytest.mark.slow


def products(run, *names, **variables):
    command = [sys.executable, "-m", "jobs.products", "--run", str(run), "--master", "local[2]", *names]
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


def test_edges_catalogue_and_pictures_in_a_bucket(tmp_path):
    factory = MapFactory(tmp_path / "run")
    waves = np.sin(np.arange(300) / 40)[:, None] + np.sin(np.arange(300) / 55)
    for day in (3, 4):
        classes = np.digitize(waves + day / 10, [0.2, 0.8]).astype(np.uint8)
        factory.add(
            f"d{day}", classes, "EPSG:3031", Affine(100, 0, 0, 0, -100, 0), time=f"2019-11-0{day}T20:00:00Z",
            item=True,
        )  # fmt: skip
    run = factory.write()
    names = ("concentration", "edges", "mosaic", "floes", "pictures", "catalog")
    with S3Server(tmp_path / "server") as server:
        bucket = server.make_bucket("out")
        shutil.copytree(run.root, bucket / "run")
        said = products("s3://out/run", *names, **server.environment)
        assert said.returncode == 0, said.stderr
        assert products(run.root, *names).returncode == 0
        here, there = (folder / "products" for folder in (run.root, bucket / "run"))
        assert (here / "edges/errors.csv").read_bytes() == (there / "edges/errors.csv").read_bytes()
        edges = [pyogrio.read_arrow(folder / "edges/edges.gpkg")[1] for folder in (here, there)]
        assert edges[0].equals(edges[1])
        assert edges[0].num_rows
        for name in ("mosaic.png", "concentration.png", "floes.png"):
            one, other = (cv2.imread(str(folder / "pictures" / name)) for folder in (here, there))
            np.testing.assert_array_equal(one, other)
        for folder in (here, there):
            catalog = pystac.Catalog.from_file(folder / "catalog/catalog.json")
            items = {item.id: item for item in catalog.get_items(recursive=True)}
            assert len(items) == 2
            for item in items.values():
                assert Path(item.assets["classes"].get_absolute_href()).is_file()
        # Nothing has changed, so nothing is made again.
        marks = {mark: mark.stat().st_mtime_ns for mark in there.glob("*/done.json")}
        assert len(marks) == len(names)
        again = products("s3://out/run", *names, **server.environment)
        assert again.returncode == 0, again.stderr
        assert marks == {mark: mark.stat().st_mtime_ns for mark in there.glob("*/done.json")}
