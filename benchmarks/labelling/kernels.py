"""Times our kernels against the published chain and a plain copy, side by side, in one run and one thread.

    .venv/bin/python -m benchmarks.labelling.kernels

The scene is simulated, 2048 x 2048 with cloud. "Published" is the literal OpenCV chain, up to its painted
picture (tests/helpers/oracle.py). Every result is checked against it before it is timed; a figure is the
best of several rounds, in which all take turns. The default profile's guard has no published counterpart.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from labeling.ice.label import label_scene
from labeling.ice.profile import load_profile
from labeling.ice.thresholds import label
from labeling.simulation.scene import SceneSpec, simulate

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "helpers"))
import oracle


def best_times(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the shortest time of each, in milliseconds."""
    best = dict.fromkeys(works, float("inf"))
    for _ in range(rounds):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            best[name] = min(best[name], 1e3 * (time.perf_counter() - started))
    return best


def main() -> None:
    """Check, time and print."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--side", type=int, default=2048, help="pixels")
    options.add_argument("--rounds", type=int, default=40)
    given = options.parse_args()

    cv2.setNumThreads(1)
    spec = SceneSpec(scene_id="bench", height=given.side, width=given.side, seed=1, cloud=0.45)
    planar = simulate(spec).rgb
    interleaved = np.ascontiguousarray(planar.transpose(1, 2, 0))
    profile, guarded = load_profile("iqrah-2024"), load_profile("polynya")
    np.testing.assert_array_equal(label(planar, profile.thresholds), oracle.label(interleaved))
    np.testing.assert_array_equal(label_scene(planar, None, profile), oracle.label_filtered(interleaved))

    works = {
        "copy of the picture": planar.copy,
        "thresholds, published": lambda: oracle.segment(interleaved),
        "thresholds, ours": lambda: label(planar, profile.thresholds),
        "filter and labels, published": lambda: oracle.segment(
            cv2.cvtColor(oracle.filter_thin_clouds(interleaved), cv2.COLOR_GRAY2RGB)
        ),
        "filter and labels, ours": lambda: label_scene(planar, None, profile),
        "filter with its guard, and labels": lambda: label_scene(planar, None, guarded),
    }
    times = best_times(works, given.rounds)
    table = Table(
        "work", "best, ms", "copies", "published / ours", title=f"{given.side} x {given.side}, one thread"
    )
    for name, milliseconds in times.items():
        published = times.get(name.replace("ours", "published"), milliseconds)
        ratio = f"{published / milliseconds:.1f} x" if name.endswith("ours") else ""
        copies = f"{milliseconds / times['copy of the picture']:.1f}"
        table.add_row(name, f"{milliseconds:.2f}", copies, ratio)
    Console().print(table)


if __name__ == "__main__":
    main()
