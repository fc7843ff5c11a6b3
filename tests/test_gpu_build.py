"""`make setup GPU=1`: which CUDA toolkit it takes, what Horovod is built with, and on demand the build."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from chip_factory import write_chips
from conftest import ROOT
from machine_with_gpus import on_machine_with_gpus

from benchmarks.training.gpu_check import distance, weights

spec = importlib.util.spec_from_file_location("gpu_build", ROOT / "docker/gpu_build.py")
gpu_build = importlib.util.module_from_spec(spec)
sys.modules["gpu_build"] = gpu_build
spec.loader.exec_module(gpu_build)


def toolkit(home, release, knows=(75, 80, 90)):
    """Make a folder look like a CUDA toolkit."""
    (home / "bin").mkdir(parents=True)
    (home / "include").mkdir()
    (home / "include/cuda_runtime.h").touch()
    nvcc = home / "bin/nvcc"
    known = "\\n".join(f"compute_{each}" for each in knows)
    nvcc.write_text(
        f"#!/bin/sh\ncase $1 in --version) echo 'Cuda tools, release {release}, V{release}.131';;\n"
        f"*) printf '{known}\\n';; esac\n"
    )
    nvcc.chmod(0o755)
    return home


@pytest.fixture
def local(tmp_path):
    return tmp_path / "usr/local"


def test_the_newest_of_cuda_12_is_taken_before_a_newer_one(tmp_path, local):
    for release in ("11.8", "12.4", "12.10", "13.0"):
        toolkit(local / f"cuda-{release}", release)
    (local / "cuda").symlink_to("cuda-13.0")
    found = gpu_build.find_toolkit({}, tmp_path)
    assert (found.home, found.version) == (local / "cuda-12.10", (12, 10))


def test_the_toolkit_on_path_is_taken_before_those_of_the_system(tmp_path, local):
    toolkit(local / "cuda-12.6", "12.6")
    loaded = toolkit(tmp_path / "modules/cuda/12.4", "12.4")
    assert gpu_build.find_toolkit({"PATH": f"{loaded}/bin:/bin"}, tmp_path).home == loaded
    old = toolkit(tmp_path / "modules/cuda/11.8", "11.8")
    assert gpu_build.find_toolkit({"PATH": f"{old}/bin:/bin"}, tmp_path).version == (12, 6)


def test_cuda_home_is_taken_before_all_others(tmp_path, local):
    toolkit(local / "cuda-12.6", "12.6")
    named = toolkit(tmp_path / "named", "13.0")
    assert gpu_build.find_toolkit({"CUDA_HOME": str(named)}, tmp_path).home == named
    (named / "bin/nvcc").write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(gpu_build.MissingError, match=rf"CUDA_HOME is {named}, which holds no bin/nvcc"):
        gpu_build.find_toolkit({"CUDA_HOME": str(named)}, tmp_path)


def test_without_a_toolkit_the_way_out_is_told(tmp_path, local):
    (local / "cuda-12.4/bin").mkdir(parents=True)  # as left by an uninstalled one
    with pytest.raises(
        gpu_build.MissingError, match=r"no CUDA toolkit with nvcc .*set CUDA_HOME=.*without GPU=1"
    ):
        gpu_build.find_toolkit({"PATH": str(tmp_path)}, tmp_path)


def test_code_is_made_for_what_the_compiler_knows(tmp_path):
    old = gpu_build.Toolkit(toolkit(tmp_path / "12", "12.4", (50, 70, 80, 86, 90)), (12, 4))
    new = gpu_build.Toolkit(toolkit(tmp_path / "13", "13.0", (75, 80, 90, 100)), (13, 0))
    newest = gpu_build.Toolkit(toolkit(tmp_path / "20", "20.0", (100, 120)), (20, 0))
    assert gpu_build.architectures(old, {}) == "70,80,90"
    assert gpu_build.architectures(new, {}) == "80,90"
    assert gpu_build.architectures(new, {"HOROVOD_BUILD_CUDA_CC_LIST": "75"}) == "75"
    with pytest.raises(gpu_build.MissingError, match="HOROVOD_BUILD_CUDA_CC_LIST, as in"):
        gpu_build.architectures(newest, {})


def test_the_build_is_named_after_all_that_decides_it(tmp_path, local):
    home, site = toolkit(local / "cuda-12.4", "12.4", (70, 80, 90)), tmp_path / "site"
    (site / "nvidia/nccl/lib").mkdir(parents=True)
    (site / "nvidia/nccl/include").mkdir()
    (site / "nvidia/nccl/lib/libnccl.so.2").touch()
    with pytest.raises(gpu_build.MissingError, match="no package nvidia-nccl-cu12 in"):
        gpu_build.build_variables({}, site, tmp_path / "nccl", tmp_path)
    (site / "nvidia_nccl_cu12-2.21.5.dist-info").mkdir()
    (site / "nvidia_nccl_cu12-2.21.5.dist-info/METADATA").write_text(
        "Metadata-Version: 2.1\nName: nvidia-nccl-cu12\nVersion: 2.21.5\n"
    )
    for _ in range(2):  # a second set-up finds the links of the first
        found = gpu_build.build_variables({"PATH": "/bin"}, site, tmp_path / "nccl", tmp_path)
    assert found["BUILT_WITH"] == "nccl-2.21.5-cuda-12.4-sm-70.80.90"
    assert found["HOROVOD_GPU_OPERATIONS"] == "NCCL"
    assert found["HOROVOD_CUDA_HOME"] == str(home)
    assert found["PATH"] == f"{home}/bin:/bin"
    assert (Path(found["HOROVOD_NCCL_HOME"]) / "lib/libnccl.so").samefile(
        site / "nvidia/nccl/lib/libnccl.so.2"
    )


def test_set_up_says_what_is_missing_before_it_fetches_anything(tmp_path):
    shutil.copytree(ROOT / "docker", tmp_path / "docker")
    for name in ("setup.cfg", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    for given, told in (
        ({"GPU": "1", "CUDA_HOME": "/nowhere"}, "setup: CUDA_HOME is /nowhere, which holds no bin/nvcc"),
        (
            {"GPU": "yes"},
            "setup: GPU is 1 (TensorFlow with CUDA, Horovod with NCCL) or 0 (neither), not yes.",
        ),
    ):
        done = subprocess.run(
            [tmp_path / "docker/setup.sh"],
            env=os.environ | {"PYTHON": sys.executable} | given,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode != 0
        assert told in done.stderr
        assert not (tmp_path / ".venv").exists()


BUILD = os.environ.get("POLYNYA_GPU_BUILD")
OURS = ("PYTHONPATH", "VIRTUAL_ENV", "CUDA_VISIBLE_DEVICES")


@pytest.mark.slow
@pytest.mark.parallel
@pytest.mark.skipif(
    BUILD is None, reason="takes 10 minutes and 10 GB: POLYNYA_GPU_BUILD=FOLDER builds there, and keeps it"
)
def test_two_ranks_of_a_build_for_gpus_have_the_weights_of_one_for_processors(tmp_path):
    try:
        gpu_build.find_toolkit(os.environ)
    except gpu_build.MissingError as error:
        pytest.skip(str(error))
    checkout = Path(BUILD).absolute()
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, files.stdout.split("\0")):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, checkout / name)
    bare = {name: text for name, text in os.environ.items() if name not in OURS}
    subprocess.run(["docker/setup.sh"], cwd=checkout, env=bare | {"GPU": "1"}, check=True)
    python = checkout / ".venv/bin/python"
    asked = "import horovod.tensorflow as hvd; print(hvd.nccl_built(), hvd.gloo_built())"
    told = subprocess.run(
        [python, "-c", asked], cwd=checkout, env=bare, capture_output=True, text=True, check=True
    )
    assert told.stdout.split() == ["22105", "True"]

    chips = write_chips(tmp_path / "chips", train=8, val=0, size=32)
    small = ["--epochs", "3", "--threads", "1"]
    (tmp_path / "train.yaml").write_text("{depth: 3, width: 4, dropout: [0, 0, 0], absent_classes: allow}")
    found = []
    for name, program, folder, ranks in (
        ("two", python, checkout, 2),
        ("one", python, checkout, 1),
        ("processors", sys.executable, ROOT, 1),
    ):
        command = [program, "-m", "jobs.train", "--ranks", ranks, "--config", tmp_path / "train.yaml", *small]
        command += ["--chips", chips, "--out", tmp_path / name, "--batch-size", 4 // ranks]
        environment = (os.environ if folder == ROOT else bare) | {"CUDA_VISIBLE_DEVICES": ""}
        subprocess.run(list(map(str, command)), cwd=folder, env=environment, check=True)
        found.append(weights(tmp_path / name))
    (tmp_path / "dev").mkdir()
    command = [python, "-m", "jobs.train", "--chips", chips, "--out", tmp_path / "none"]
    done = on_machine_with_gpus(tmp_path / "dev", 2, command, cwd=checkout, env=bare)
    assert done.returncode == 2, done.stderr
    assert "needs a driver of 525.60.13 or later" in done.stderr

    assert distance(found[2], found[1]) <= 1e-6
    assert distance(found[2], found[0]) <= 1e-6
