"""The benchmark of maps, in little: both ways are timed, and what it prints are ratios to the bare pass."""

import subprocess
import sys

import pytest
from conftest import ROOT

pytestmark = pytest.mark.slow


def test_both_ways_are_timed_for_each_number_of_workers():
    command = [
        sys.executable, "-m", "benchmarks.labelling.inference", "--side", "512", "--depth", "3",
        "--width", "4", "--workers", "1", "2", "--rounds", "1",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=600)
    rows = [line.strip("│ ").split("│") for line in done.stdout.splitlines() if line.startswith("│")]
    cells = [[cell.strip() for cell in row] for row in rows]
    ways, rest = cells[:4], cells[4:]
    assert [tuple(row[:2]) for row in ways] == [("bare", "1"), ("map", "1"), ("bare", "2"), ("map", "2")]
    assert [row[3:5] for row in ways if row[0] == "bare"] == [["1.00", "1.00"]] * 2
    # So small a map takes a hundred times as long as the pass, or more: figures can be 0.00.
    assert all(float(figure) >= 0 for row in ways for figure in row[2:])
    assert all(float(row[5]) > 0.1 for row in ways), "TensorFlow alone takes more"
    for workers in "12":
        shares = [float(row[3].rstrip("%")) for row in rest if row[0] == workers and len(row) == 4]
        assert len(shares) == 5
        assert abs(sum(shares) - 100) < 0.5
        [[around, _]] = [row[1:] for row in rest if row[0] == workers and len(row) == 3]
        # Nothing around a scene of whole cells is swept, but two workers each begin with rows of the other's.
        assert float(around) == 1 if workers == "1" else float(around) > 1
