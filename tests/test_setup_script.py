"""`docker/setup.sh` where something is missing and nothing may be installed: one sentence that names it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

NEEDED = ["bash", "cat", "cut", "dirname", "env", "grep", "sha256sum", "xargs", "echo"]
COMPILERS = ["g++", "make", "cmake"]


@pytest.fixture
def checkout(tmp_path):
    """A bare checkout and a PATH that holds only what the script itself needs, as a user who is not root."""
    for name in ("docker", "setup.cfg", "pyproject.toml"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in NEEDED:
        (tools / name).symlink_to(shutil.which(name))
    write_tool(tools, "id", "echo 1000")
    write_tool(tools, "python3.11", f'exec {sys.executable} "$@"')
    write_tool(tools, "java", "echo 'openjdk version \"17.0.1\"' >&2")
    for name in COMPILERS:
        write_tool(tools, name, "exit 0")
    return tmp_path


def write_tool(folder: Path, name, script):
    tool = folder / name
    tool.unlink(missing_ok=True)
    tool.write_text(f"#!{shutil.which('bash')}\n{script}\n")
    tool.chmod(0o755)


def run_setup(checkout, **environment):
    environment = {"PATH": str(checkout / "bin"), "HOME": str(checkout)} | environment
    command = [str(checkout / "docker/setup.sh")]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)


@pytest.mark.parametrize("tool", COMPILERS)
def test_a_missing_compiler_is_named(checkout, tool):
    (checkout / "bin" / tool).unlink()
    done = run_setup(checkout)
    assert done.returncode == 1
    told = f"please install {tool} (as root on Debian or Ubuntu: apt-get install {tool})"
    assert done.stderr == f"setup: {told} and run make setup again.\n"


@pytest.mark.parametrize("version", ["11.0.2", "25", "1.8.0_312"])
def test_a_java_that_spark_cannot_use_is_told(checkout, version):
    write_tool(checkout / "bin", "java", f"echo 'openjdk version \"{version}\"' >&2")
    done = run_setup(checkout)
    assert done.returncode == 1
    assert "install openjdk-17-jre-headless" in done.stderr
    assert not (checkout / ".venv").exists()


def test_a_python_that_tensorflow_lacks_is_told(checkout):
    write_tool(checkout / "bin", "python3.11", "exit 1")
    done = run_setup(checkout)
    assert done.returncode == 1
    assert "Python 3.11 or 3.12 is needed" in done.stderr


def test_root_without_apt_is_told_what_to_install(checkout):
    write_tool(checkout / "bin", "id", "echo 0")
    (checkout / "bin/cmake").unlink()
    done = run_setup(checkout)
    assert done.returncode == 1
    assert "please install cmake" in done.stderr


def test_root_with_apt_installs_what_is_missing_and_says_so(checkout):
    tools, log = checkout / "bin", checkout / "apt.log"
    write_tool(tools, "id", "echo 0")
    (tools / "cmake").unlink()
    write_tool(tools, "apt-get", f'echo "$*" >> {log}')
    done = run_setup(checkout)
    assert "installing with apt-get: cmake" in done.stderr
    assert log.read_text().splitlines()[-1].endswith("cmake")
    assert done.returncode == 1  # this apt-get installs nothing
    assert "still not found: cmake" in done.stderr
