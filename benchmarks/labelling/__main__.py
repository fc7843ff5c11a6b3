"""Times labelling from disk to disk: ours, the published way, other engines and the floor, side by side.

    .venv/bin/python -m benchmarks.labelling
    .venv/bin/python -m benchmarks.labelling --quick     # small scenes: do all ways agree?
    .venv/bin/python -m benchmarks.labelling --ways ours floor --workloads large

Every way runs in a process of its own, ways take turns, and a row is the best of the rounds. All labels are
compared with those of the literal OpenCV chain (tests/helpers/oracle.py). Scenes and results lie in
--folder, about 3 GB, and are found there again. Goals and predictions need all ways. The machine should have
nothing else to do.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import rasterio
from numpy.typing import NDArray
from rich.console import Console

from benchmarks.labelling.breakdown import stage_costs
from benchmarks.labelling.measure import measure
from benchmarks.labelling.published import codes
from benchmarks.labelling.tables import ENGINES, Case, Row, cost_table, goal_table, row_table, scaling_table
from benchmarks.labelling.way import FILTERED, PROFILES, RAW
from benchmarks.labelling.workloads import Workload, large, pictures
from labeling.files.raster import quiet_georeference

WAYS: Final = ("ours", "ours-again", "published", "published-shared", *ENGINES, "floor", "filter")
ALSO_ALONE: Final = ("ours", "ours-again", "floor")
"""Ways that run on one core too."""


def main() -> None:
    """Make the scenes, run all ways on them, print tables."""
    given = _arguments()
    console = Console(width=140)
    for workload in _workloads(given):
        for profile in given.profiles:
            rows = best_of(workload, profile, given.ways, given.rounds, given.quick)
            console.print(row_table(workload, profile, rows))
            if given.quick or not {*WAYS} <= {*given.ways}:
                continue
            costs = stage_costs(workload, profile)
            console.print(goal_table(workload, profile, rows))
            console.print(cost_table(workload, profile, costs))
            console.print(scaling_table(workload, profile, rows, costs))


def _arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--folder", type=Path, default=Path("build/benchmark"), help="scenes and results")
    options.add_argument("--quick", action="store_true", help="small scenes, to see that all ways agree")
    options.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS, help="default: all")
    options.add_argument("--rounds", type=int, default=1, help="runs of each way")
    options.add_argument("--workloads", nargs="+", choices=_SIZES, default=list(_SIZES))
    options.add_argument("--profiles", nargs="+", choices=PROFILES, default=list(PROFILES))
    return options.parse_args()


_SIZES: Final = {"pictures": ((66, 2048), (3, 300)), "large": ((1, 10980), (1, 600))}
"""Number and side of the scenes: in full, and quick."""


def _workloads(given: argparse.Namespace) -> list[Workload]:
    folder, made = given.folder.absolute(), []
    for name in given.workloads:
        count, side = _SIZES[name][given.quick]
        made.append(pictures(folder, count, side) if name == "pictures" else large(folder, side))
    return made


def best_of(
    workload: Workload, profile: str, ways: Sequence[str], rounds: int, quick: bool
) -> dict[Case, Row]:
    """Run each case `rounds` times, all in turns; return the run of each that took the least time.

    RuntimeError when labels are not the expected ones.
    """
    cases = [Case(way, 2) for way in ways if way != "filter" or profile == FILTERED]
    cases += [] if quick else [Case(way, 1) for way in ways if way in ALSO_ALONE]
    rows: dict[Case, Row] = {}
    for _ in range(rounds):
        for case in cases:
            row = run(workload, profile, case, cut=quick and workload.name == "large")
            rows[case] = min(rows.get(case, row), row, key=lambda one: one.took.work)
    return rows


def run(workload: Workload, profile: str, case: Case, *, cut: bool = False) -> Row:
    """Run one case once and compare its labels with the expected ones."""
    out = workload.folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    options = ["--cores", str(case.cores), "--profile", profile, "--out", str(out)]
    options += ["--expected", str(workload.expected(profile))] + (["--cut"] if cut else [])
    scenes = [str(scene) for scene in workload.scenes]
    took = measure([sys.executable, "-m", "benchmarks.labelling.way", case.way, *options, *scenes])
    share = None if case.way == "filter" else differing(workload, profile, out)
    if share and not (case.way.startswith("published") and profile != RAW):
        raise RuntimeError(f"{case.way} gave other labels: {share:.2%} of the pixels differ")
    shutil.rmtree(out, ignore_errors=True)
    return Row(took, share)


def differing(workload: Workload, profile: str, out: Path) -> float:
    """Return the share of pixels whose labels are not the expected ones."""
    wrong = pixels = 0
    for scene in workload.scenes:
        expected = np.load(workload.expected(profile) / f"{scene.stem}.npy")
        wrong += np.count_nonzero(read_labels(out / "labels" / scene.stem) != expected)
        pixels += expected.size
    return wrong / pixels


def read_labels(folder: Path) -> NDArray[np.uint8]:
    """Return the class codes in a scene's folder: a class raster, or the published script's picture."""
    if (folder / "labels.png").exists():
        return codes(folder / "labels.png")
    with quiet_georeference(), rasterio.open(folder / "labels.tif") as raster:
        return np.asarray(raster.read(1), np.uint8)


if __name__ == "__main__":
    main()
