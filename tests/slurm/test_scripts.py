"""What is left in shell for Slurm: shellcheck finds nothing in it, and Slurm would take it as it stands."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

SCRIPTS = sorted(path for path in (ROOT / "jobs/slurm").iterdir() if path.suffix in (".sbatch", ".sh"))


def test_shellcheck_finds_nothing():
    shellcheck = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed; make setup brings it")
    found = subprocess.run([shellcheck, *SCRIPTS], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


@pytest.mark.slurm
@pytest.mark.parametrize(
    "script", [path for path in SCRIPTS if path.suffix == ".sbatch"], ids=lambda path: path.name
)
def test_slurm_would_take_a_script_as_it_stands(lab, script):
    told = lab.login("sbatch", "--test-only", "--nodes=2", script, cwd=ROOT)
    assert "to start at" in told.stderr
