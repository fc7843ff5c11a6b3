import os
import subprocess
import sys
import zipfile

import numba
import numpy as np
import pytest
from conftest import ROOT

from labeling.ice.kernels import compiled


def double(values):
    for i in range(values.size):
        values[i] *= 2


def njit_that(monkeypatch, cached):
    """Let numba be `cached` where a cache is asked for; without one, functions stay as they are."""
    monkeypatch.setattr(numba, "njit", lambda nogil, cache: cached if cache else lambda function: function)


def check(kernel):
    values = np.arange(4)
    for times in (2, 4):
        kernel(values)
        np.testing.assert_array_equal(values, times * np.arange(4))


def test_no_folder_for_the_cache_compiles_without_one(monkeypatch):
    def nowhere(function):
        raise RuntimeError("cannot cache function: no locator available")

    njit_that(monkeypatch, nowhere)
    check(compiled(double))


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(28, "No space left")])
def test_a_cache_that_cannot_be_written_compiles_without_one(monkeypatch, error):
    def fails(*_):
        raise error

    njit_that(monkeypatch, lambda function: fails)
    check(compiled(double))


def test_code_in_a_zip_runs_without_a_home(tmp_path):
    archive = tmp_path / "code.zip"
    with zipfile.ZipFile(archive, "w") as code:
        code.write(ROOT / "labeling/ice/kernels.py", "in_zip/kernels.py")
        code.writestr("in_zip/__init__.py", "")
        code.writestr(
            "in_zip/loop.py",
            "from in_zip.kernels import compiled\n\n\n@compiled\ndef add(a, b):\n    return a + b\n",
        )
    (tmp_path / "home").write_text("a file, so nothing can be created below it")
    environment = os.environ | {"HOME": str(tmp_path / "home"), "PYTHONPATH": str(archive)}
    environment.pop("XDG_CACHE_HOME", None)
    command = [sys.executable, "-c", "from in_zip.loop import add; print(add(1, 2))"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("3\n", 0), done.stderr


def test_what_plans_work_does_not_load_numba():
    command = (
        "import sys, jobs.label, jobs.infer; sys.exit(any(m in sys.modules for m in ('numba', 'pyogrio')))"
    )
    assert subprocess.run([sys.executable, "-c", command], cwd=ROOT, check=False).returncode == 0
