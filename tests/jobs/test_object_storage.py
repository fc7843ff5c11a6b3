"""Jobs whose scenes and results are in buckets of a real server, one that goes away in the middle too.

Most jobs run in one process that goes on. Those with variables of their own start one each, because GDAL and
the client keep what they found in the environment; and so does the one that the server leaves alone.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
from conftest import patchwork, planar
from held_jobs import HeldJobs
from map_runs import no_network
from pictures import write_png, write_tif
from s3_server import KEY_ID, SECRET, S3Server

from labeling.simulation.scene import SceneSpec, write_scene

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CUTS = ("never", "always")
GOOD = ("a", "b")


class Buckets:
    """A server with buckets `data`, which has scenes, and `out`; jobs that use them."""

    def __init__(self, server, held):
        self.server, self.held = server, held
        self.data, self.out = server.make_bucket("data"), server.make_bucket("out")
        scenes = self.data / "scenes"
        write_tif(
            scenes / "a.tif", planar(patchwork(620, 700, seed=1)), tiled=True, blockxsize=256, blockysize=256
        )
        write_png(scenes / "b.png", patchwork(300, 310, seed=2))
        (scenes / "bad.tif").write_bytes(b"no picture")

    def start(self, job, *options, **variables):
        return subprocess.Popen(
            [sys.executable, "-m", f"jobs.{job}", *map(str, options)],
            cwd=ROOT, env=os.environ | self.server.environment | variables, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, job, *options, **variables):
        """Return a job's exit code and what it said, which never holds a credential."""
        if variables:
            process = self.start(job, *options, **variables)
            said = "".join(process.communicate(timeout=300))
            code = process.returncode
        else:
            code, said = self.held.run(job, *options)
        assert not secrets_in(said.encode())
        return code, said

    def label(self, scenes, out, *options, **variables):
        scenes = [scenes] if isinstance(scenes, str | Path) else scenes
        options = ("--block-size", 256, "--chip-size", 64, "--master", "local[2]", "--log", "json", *options)
        return self.run("label", "--scenes", *scenes, "--out", out, *options, **variables)


def secrets_in(content):
    return [secret for secret in (KEY_ID, SECRET, KEY_ID[:12], SECRET[:20]) if secret.encode() in content]


def files(folder):
    """The content of all files but those that tell of times and addresses, by name."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not secrets_in(content), path
            if path.suffix in (".tif", ".png", ".parquet") and path.name != "catalog.parquet":
                found[str(path.relative_to(folder))] = content
    return found


def times(folder):
    return {
        path: path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.name in ("done.json", "labels.tif")
    }


@pytest.fixture(scope="module")
def buckets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("s3")
    with S3Server(folder / "buckets") as server:
        with HeldJobs(os.environ | server.environment, folder / "said.txt") as held:
            yield Buckets(server, held)
        assert not secrets_in(held.file.read_bytes())  # at its end neither


@pytest.fixture(scope="module")
def expected(buckets, tmp_path_factory):
    """The files of a run that knows no bucket."""
    run = tmp_path_factory.mktemp("local") / "run"
    code, said = buckets.label(buckets.data / "scenes", run)
    assert code == 3, said
    return files(run)


@pytest.mark.parametrize("cut", CUTS)
def test_scenes_and_results_in_buckets(buckets, expected, cut):
    code, said = buckets.label("s3://data/scenes/", f"s3://out/{cut}", "--cut", cut)
    run = buckets.out / cut
    assert code == 3, said
    assert files(run) == expected
    assert not [*run.glob(".scratch*"), *run.glob(".lock*")]
    (failure,) = map(json.loads, (run / "failures.jsonl").read_text().splitlines())
    assert "s3://data/scenes/bad.tif" in failure["reason"]
    # What is done is left as it is, found by other words too; what is missing fails alone.
    before = times(run)
    scenes = ["s3://data/scenes/*.png", "s3://data/scenes/a.tif", "s3://data/scenes/none.tif"]
    code, said = buckets.label(scenes, f"s3://out/{cut}", "--cut", cut)
    assert code == 3, said
    assert "no such bucket or object" in said
    assert times(run) == before


def test_another_object_under_the_name_is_labelled_again(buckets, expected):
    shutil.copytree(buckets.data / "scenes", buckets.data / "changing")
    assert buckets.label("s3://data/changing/", "s3://out/changing")[0] == 3
    before = times(buckets.out / "changing")
    write_png(buckets.data / "changing" / "b.png", patchwork(300, 310, seed=3))
    assert buckets.label("s3://data/changing/", "s3://out/changing")[0] == 3
    after = times(buckets.out / "changing")
    changed = {path.parent.name for path in after if after[path] != before[path]}
    assert changed == {"b", "chips"}


def test_one_side_in_a_bucket(buckets, expected, tmp_path):
    code, said = buckets.label("s3://data/scenes/", tmp_path / "run")
    assert code == 3, said
    assert files(tmp_path / "run") == expected
    code, said = buckets.label(buckets.data / "scenes", "s3://out/from-here")
    assert code == 3, said
    assert files(buckets.out / "from-here") == expected


def test_what_reads_a_run(buckets, expected, tmp_path):
    assert buckets.label("s3://data/scenes/*.png", "s3://out/read")[0] == 0
    code, said = buckets.run("evaluate", "--run", "s3://out/read")
    assert code in (0, 2), said  # 2: there are no maps
    assert "report: s3://out/read/report/index.html" in said
    assert "automatic labels" in (buckets.out / "read" / "report" / "index.html").read_text()
    code, said = buckets.run("train", "--chips", "s3://out/read/chips", "--out", tmp_path / "model")
    assert code == 2
    assert "s3://out/read/chips is in a bucket, and this must be on this machine: copy it" in said
    options = ("--scenes", "s3://data/scenes/", "--out", "s3://out/read")
    code, said = buckets.run("infer", "--model", "s3://out/model", *options)
    assert code == 2
    assert "s3://out/model is in a bucket" in said


def test_a_map_from_labels_in_a_bucket(buckets, tmp_path):
    write_scene(buckets.data / "clear", SceneSpec(scene_id="clear", height=256, width=256, seed=1))
    places = ("--scenes", "s3://data/clear/clear.tif", "--out", "s3://out/clear", "--master", "local[2]")
    code, said = buckets.run("label", *places, "--outputs", "labels")
    assert code == 0, said
    model = no_network(tmp_path / "model")
    code, said = buckets.run("infer", "--model", model, *places)
    assert code == 0, said
    rasters = []
    for name in ("labels/clear/labels.tif", "maps/clear/classes.tif"):
        with rasterio.open(buckets.out / "clear" / name) as raster:
            rasters.append(raster.read(1))
    np.testing.assert_array_equal(*rasters)


@pytest.mark.parametrize(
    ("out", "variables", "words"),
    [
        ("s3://out/x", {"AWS_SECRET_ACCESS_KEY": "wrong" * 8}, ("s3://out/x", "AWS_SECRET_ACCESS_KEY")),
        ("s3://nobucket/x", {}, ("s3://nobucket/x", "no such bucket")),
        ("s3://out/x", {"AWS_ACCESS_KEY_ID": ""}, ("s3://out/x", "no credentials; set AWS_ACCESS_KEY_ID")),
        ("s3://out/x", {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, ("s3://out/x", "check AWS_ENDPOINT_URL")),
    ],
    ids=["key", "bucket", "environment", "server"],
)
def test_results_that_cannot_be_written(buckets, out, variables, words):
    code, said = buckets.label("s3://data/scenes/", out, **variables)
    assert code == 2
    for word in words:
        assert word in said, said
    assert said.count("Traceback") == 0
    assert not (buckets.out / "x").exists()


@pytest.mark.parametrize("cut", CUTS)
def test_a_server_that_goes_away_and_comes_back(buckets, expected, cut):
    options = ("--cut", cut, "--block-size", 256, "--chip-size", 64)
    job = ("--scenes", "s3://data/scenes/", "--out", f"s3://out/left-{cut}", *options)
    run = buckets.out / f"left-{cut}"
    process = buckets.start("label", *job, "--master", "local[1]")
    try:
        wait_for(run, ".scratch/*/*" if cut == "always" else "labels/*/*", process)
        buckets.server.stop()
        said = "".join(process.communicate(timeout=300))
    finally:
        process.kill()
        buckets.server.stop()
        buckets.server.start()
    assert process.returncode == 1, said
    assert not secrets_in(said.encode())
    assert f"s3://out/left-{cut}" in said
    assert "check AWS_ENDPOINT_URL" in said
    assert "Traceback" not in said
    assert all(expected[name] == content for name, content in files(run).items() if name.startswith("labels"))
    code, said = buckets.run("label", *job, "--master", "local[2]")
    assert code == 3, said
    assert files(run) == expected
    assert not [*run.glob(".scratch*"), *run.glob(".lock*")]


def wait_for(folder, pattern, process):
    while process.poll() is None and not any(folder.glob(pattern)):
        time.sleep(0.02)
    assert process.poll() is None, process.communicate()
