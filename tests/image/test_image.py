"""The image runs all jobs as a user it does not know, who can write to /tmp and a folder of theirs."""

import os
import re
import tempfile
from pathlib import Path

import pytest
from image_lab import USER, Builder, why_not

# Two Horovod ranks, and compilers, fill the machine: with the tests that run by themselves.
pytestmark = [pytest.mark.image, pytest.mark.parallel]

QUIET = re.compile(r"WARN|Setting default|log level|<std(out|err)>|Traceback")
"""What others say at their start, and users need not see."""


@pytest.fixture(scope="module")
def image():
    """The image of docker/Dockerfile, built and unpacked; all is removed afterwards."""
    if reason := why_not():
        pytest.skip(reason)
    builder = Builder(Path(tempfile.mkdtemp(prefix="polynya-image-")))
    try:
        builder.base()
        with (builder.folder / "build.log").open("w") as log:
            builder.image(log, VERSION="1.2.3")
        yield builder.unpacked()
    finally:
        builder.remove()


@pytest.fixture
def data(tmp_path):
    """A folder of the user's, for the results."""
    folder = tmp_path / "data"
    folder.mkdir()
    os.chown(folder, USER, USER)
    return folder


def ok(done):
    """Return what a command printed that ended well."""
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
    return done.stdout


def test_it_says_what_it_is(image):
    assert image.config["User"] == "10001:10001"
    told = {"title": "polynya", "version": "1.2.3", "licenses": "Apache-2.0"}
    assert {name: image.config["Labels"][f"org.opencontainers.image.{name}"] for name in told} == told
    assert image.size < 4e9  # as docs/images.md says


def test_what_tests_and_compilers_need_stayed_outside(image):
    assert not list(image.root.glob("opt/polynya/.venv/bin/pytest"))
    assert not list(image.root.glob("opt/polynya/tests"))
    assert not list(image.root.glob("usr/bin/g++*"))


@pytest.mark.parametrize("user", [USER, 10001, 0])
def test_the_health_command_finds_all_well(image, data, user):
    kind, *command = image.config["Healthcheck"]["Test"]
    assert kind == "CMD"
    # Engines start it without the entry point.
    done = image.run(data, *command, user=user, entry=False)
    assert ok(done).startswith("healthy: ")
    assert done.stderr == ""


def test_the_health_command_tells_what_is_wrong(image, data):
    health = ["python", "-m", "jobs.health"]
    nameless = image.run(data, *health, entry=False)
    assert nameless.returncode == 1
    assert nameless.stderr.startswith(f"health: User id {USER} has no name")
    nowhere = image.run(data, *health, user=10001, tmp=False)
    assert nowhere.returncode == 1
    assert "mount a writable /tmp" in nowhere.stderr


def test_a_user_without_a_name_gets_one_and_can_write_nowhere_else(image, data):
    done = image.run(data, "sh", "-c", "id -un; touch /mnt/mine /tmp/mine; touch /opt/polynya/mine")
    assert done.stdout == f"user{USER}\n"
    assert "Read-only file system" in done.stderr
    assert (data / "mine").stat().st_uid == USER


def test_nothing_is_compiled_when_it_starts(image, data):
    warm = ["python", "-c", "from pipelines.engine.warm import warm; warm()"]
    told = ok(image.run(data, *warm, variables=["NUMBA_DEBUG_CACHE=1"]))
    kept = image.root.glob("opt/polynya/labeling/ice/__pycache__/*.nbi")
    loops = {path.name.rpartition("-")[0] for path in kept}
    assert loops == set(re.findall(r"data loaded from '.*/([\w.]+)-\d+\.py\d+", told)) != set()
    assert "saved" not in told
    modules = [
        each for name in ("labeling", "jobs") for each in image.root.glob(f"opt/polynya/{name}/**/*.py")
    ]
    assert modules
    for module in modules:
        assert list(module.parent.glob(f"__pycache__/{module.stem}.cpython-3*.pyc")), module


def test_the_demonstration_and_the_same_labels_by_spark_submit(image, data):
    small = ["--config", "jobs/conf/demo-small.yaml"]
    demo = image.run(data, "python", "-m", "jobs.demo", *small, "--out", "/mnt/demo")
    ok(demo)
    assert "jobs.train --ranks 2" in demo.stderr
    assert not QUIET.search(demo.stdout + demo.stderr), demo.stdout + demo.stderr
    assert (data / "demo/report/index.html").stat().st_uid == USER
    submit = ["spark-submit", "--master", "local[2]", "jobs/label.py"]
    ok(image.run(data, *submit, "--scenes", "/mnt/demo/scenes", "--out", "/mnt/submitted"))
    labels = sorted(path.relative_to(data / "demo") for path in data.glob("demo/labels/*/labels.tif"))
    assert len(labels) == 4
    for path in labels:
        assert (data / "submitted" / path).read_bytes() == (data / "demo" / path).read_bytes()
