"""Machine code beside the source, on a disk that can only be read: a bind mount in a namespace of its own."""

import os
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" || exit 77; shift; exec "$@"'
LOOP = "from labeling.ice.kernels import compiled\n\n\n@compiled\ndef add(a, b):\n    return a + b\n"
CALL = "from kept.loop import add; print(add(1, 2), add(3, 4))"
LOCATOR = {"NUMBA_CACHE_LOCATOR_CLASSES": "labeling.ice.prebuilt.BesideSource"}


@pytest.fixture
def code(tmp_path):
    """A folder with a package that has one compiled loop; and no home."""
    package = tmp_path / "code/kept"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "loop.py").write_text(LOOP)
    (tmp_path / "home").touch()
    return tmp_path / "code"


def call(code, variables=(), wrapper=()):
    """Call the loop in a process of its own; return what numba says of its cache."""
    home = str(code.parent / "home")  # a file, so nothing can be kept below it
    environment = os.environ | {"NUMBA_DEBUG_CACHE": "1", "HOME": home, "PYTHONPATH": f"{code}:{ROOT}"}
    for name in ("XDG_CACHE_HOME", "NUMBA_CACHE_DIR"):
        environment.pop(name, None)
    command = [*wrapper, sys.executable, "-c", CALL]
    done = subprocess.run(
        command, env=environment | dict(variables), capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode == 77:
        pytest.skip(f"cannot mount here: {done.stderr}")
    assert done.returncode == 0, done.stderr
    assert "3 7\n" in done.stdout
    return done.stdout


def read_only(code):
    """A command that runs others where the code can only be read."""
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare, of util-linux")
    return ["unshare", "--mount", "--map-root-user", "sh", "-c", READ_ONLY, "sh", str(code)]


def test_what_was_compiled_before_is_taken_from_a_folder_that_cannot_be_written(code):
    assert "data saved" in call(code, LOCATOR)
    assert "data loaded" in call(code, LOCATOR, read_only(code))
    # numba by itself does not look there.
    assert "data loaded" not in call(code, wrapper=read_only(code))


def test_what_was_not_is_compiled_and_not_kept(code):
    assert "data saved" not in call(code, LOCATOR, read_only(code))
    assert not list(code.rglob("*.nb?"))
