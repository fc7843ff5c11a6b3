"""`spark-submit` to Spark's own standalone master, with the code shipped the ways that users ship it.

Neither the driver nor the workers can import the project from anywhere but what is shipped.
"""

import shutil
import subprocess
import sys
import zipfile

import numpy as np
import oracle
import pytest
import spark_cluster
from conftest import ROOT, patchwork, planar
from pictures import read_labels, write_tif

from labeling.ice.label import label_scene
from labeling.ice.profile import load_profile

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

PICTURES = {name: patchwork(300, 420, seed=seed) for name, seed in (("a", 1), ("b", 2), ("c", 3))}
PROFILE = load_profile("polynya-clear")
PACKAGES = ["labeling", "pipelines", "training", "jobs"]


@pytest.fixture(scope="module")
def master(tmp_path_factory):
    with spark_cluster.standalone(tmp_path_factory.mktemp("cluster")) as url:
        yield url


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """A folder with scenes, a copy of a job's main file, the code as zip, and Python without the project."""
    folder = tmp_path_factory.mktemp("shipped")
    for name, rgb in PICTURES.items():
        write_tif(folder / f"scenes/{name}.tif", planar(rgb))
    (folder / "scenes/bad.tif").write_text("no pixels")
    shutil.copy(ROOT / "jobs/label.py", folder / "label.py")
    command = [sys.executable, "-m", "zipfile", "-c", folder / "polynya.zip", *PACKAGES]
    subprocess.run(command, cwd=ROOT, check=True)
    spark_cluster.python_without_project(folder)
    return folder


def label(master, shipped, run, *arguments, options, **more):
    code, printed = spark_cluster.run(
        master, "label.py", "--scenes", "scenes", "--out", run, "--cut", "always", "--block-size", "128",
        *arguments, python=shipped / "python", options=options, cwd=shipped, **more,
    )  # fmt: skip
    assert code == 3, printed[-4000:]
    assert "bad.tif cannot be opened" in printed
    return shipped / run


def test_the_project_cannot_be_imported_unless_it_is_shipped(shipped):
    environment = spark_cluster.bare_environment()
    for package in PACKAGES:
        command = [shipped / "python", "-c", f"import numpy, pyspark; import {package}"]
        done = subprocess.run(command, env=environment, cwd=shipped, capture_output=True, check=False)
        assert f"No module named '{package}'" in done.stderr.decode()


def test_code_as_a_zip(master, shipped):
    # Without the filter: code in a zip is compiled anew by every process, which test_kernels.py looks at.
    arguments = ["--profile", PROFILE.name, "--chip-size", "64"]
    run = label(master, shipped, "zip", *arguments, options=["--py-files", "polynya.zip"])
    for name, rgb in PICTURES.items():
        np.testing.assert_array_equal(read_labels(run, name), label_scene(planar(rgb), None, PROFILE))
    assert (run / "chips/chips.json").is_file()


def test_code_as_an_archive_that_is_unpacked_on_each_worker(master, shipped):
    """As venv-pack's archive of a whole environment would be; the driver has its own."""
    with zipfile.ZipFile(shipped / "polynya.zip") as code:
        code.extractall(shipped / "unpacked")
    options = ["--archives", "polynya.zip#code", "--conf", "spark.executorEnv.PYTHONPATH=code"]
    arguments = ["--profile", "iqrah-2024-raw", "--outputs", "labels"]
    run = label(master, shipped, "archive", *arguments, options=options, env={"PYTHONPATH": "unpacked"})
    for name, rgb in PICTURES.items():
        np.testing.assert_array_equal(read_labels(run, name), oracle.label(rgb))
