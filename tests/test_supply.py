"""What `make setup` installs: each file is known by its hash, and a file of another content is not taken."""

import re
import subprocess
import sys
import zipfile
from hashlib import sha256

from conftest import ROOT
from packaging.requirements import Requirement
from setuptools.config.setupcfg import read_configuration

SCRIPT = ROOT / "docker/setup.sh"
LOCK = ROOT / "docker/constraints.txt"
GPU_LOCK = ROOT / "docker/constraints-gpu.txt"


def pins(text):
    """Version and hashes by package."""
    blocks = re.findall(r"^([a-z0-9][\w.-]*)(?:\[[^]]*\])?==(\S+)((?:.*\\\n)*.*)$", text, re.MULTILINE)
    return {
        name: (version, re.findall(r"--hash=sha256:[0-9a-f]{64}", rest)) for name, version, rest in blocks
    }


def locked(*words):
    """What the script's function takes out of the lock."""
    function = re.search(r"^locked\(\) \{.*?^\}", SCRIPT.read_text(), re.MULTILINE | re.DOTALL)[0]
    code = f'LOCK={LOCK}\n{function}\nlocked "$@"'
    return subprocess.run(
        ["bash", "-c", code, "_", *words], capture_output=True, text=True, check=True
    ).stdout


def test_every_package_is_pinned_with_hashes():
    found = pins(LOCK.read_text())
    assert len(found) == sum("==" in line for line in LOCK.read_text().splitlines())
    assert all(hashes for _, hashes in found.values())
    options = read_configuration(ROOT / "setup.cfg")["options"]
    needed = (
        options["install_requires"] + options["extras_require"]["train"] + options["extras_require"]["dev"]
    )
    for requirement in map(Requirement, needed):
        version = found[requirement.name.lower().replace("_", "-")][0]
        assert requirement.specifier.contains(version), requirement
    assert {"horovod", "setuptools", "wheel", "packaging"} <= found.keys()


def test_what_gpus_need_is_pinned_with_hashes_and_all_else_is_the_same():
    rest, gpu = pins(locked("but", "tensorflow-cpu")), pins(GPU_LOCK.read_text())
    assert len(gpu) == sum("==" in line for line in GPU_LOCK.read_text().splitlines())
    assert all(hashes for _, hashes in gpu.values())
    assert not rest.keys() & gpu.keys()
    assert {"tensorflow", "nvidia-nccl-cu12", "nvidia-cudnn-cu12"} <= gpu.keys()
    assert gpu["tensorflow"][0] == pins(LOCK.read_text())["tensorflow-cpu"][0]
    needed = read_configuration(ROOT / "setup.cfg")["options"]["extras_require"]
    for requirement in map(Requirement, needed["train_gpu"]):  # its reader's spelling of train-gpu
        version = (rest | gpu)[requirement.name][0]
        assert requirement.specifier.contains(version), requirement


def test_the_lock_is_shared_out_without_rest():
    whole = pins(LOCK.read_text())
    first, last = ("setuptools", "wheel", "packaging"), pins(locked("horovod"))
    parts = pins(locked(*first)), pins(locked("but", "horovod", *first)), last
    assert list(last) == ["horovod"]
    assert set(parts[0]) == set(first)
    assert {name: pin for part in parts for name, pin in part.items()} == whole
    assert sum(map(len, parts)) == len(whole)


def test_pip_takes_no_file_of_another_hash(tmp_path):
    wheel = tmp_path / "thing-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("thing.py", "")
        archive.writestr("thing-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
        archive.writestr(
            "thing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("thing-1.0.dist-info/RECORD", "")
    # As `install_locked` of the script calls it.
    options = ["--require-hashes", "--no-deps", "--no-build-isolation"]
    assert f"pip install -qq {' '.join(options)} -r" in SCRIPT.read_text()
    for content, code in ((wheel.read_bytes(), 0), (b"another", 1)):
        lock = tmp_path / "lock.txt"
        lock.write_text(f"thing==1.0 --hash=sha256:{sha256(content).hexdigest()}\n")
        command = [sys.executable, "-m", "pip", "install", *options, "--no-index", "--find-links", tmp_path]
        command += ["--target", tmp_path / "out", "-r", lock]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        assert code == 0 or "DO NOT MATCH THE HASHES" in done.stderr
