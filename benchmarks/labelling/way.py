"""One way to label scenes, run once, in a process of its own; `benchmarks.labelling` starts and watches it.

    .venv/bin/python -m benchmarks.labelling.way ours --cores 2 --profile iqrah-2024 --expected DIR \\
        --out DIR SCENE...

A way is a context manager: entering it starts its engine, to the point where every worker has imported what
it needs, and gives a function that does the job; leaving it stops the engine.
"""

from __future__ import annotations

import argparse
import importlib
import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, NamedTuple

RAW, FILTERED = PROFILES = "iqrah-2024-raw", "iqrah-2024"
"""The published profiles, without and with the filter."""


class Job(NamedTuple):
    """What is to be labelled, and how."""

    scenes: list[Path]
    profile: str
    expected: Path
    """Folder with the labels that the scenes must get, <scene>.npy; only the floor looks there."""
    out: Path
    cut: bool
    """Whether scenes are cut although they are small, for a smoke test."""

    def folder(self, scene: Path) -> Path:
        """Return where a scene's labels go: the place that our own run folder has for them."""
        return self.out / "labels" / scene.stem


Way = Callable[[Job, int], AbstractContextManager[Callable[[], None]]]
"""From a job and a number of cores to a function that does it."""

WAYS: Final = {
    "ours": "benchmarks.labelling.ours:ours",
    "ours-again": "benchmarks.labelling.ours:again",
    "published": "benchmarks.labelling.published:published",
    "published-shared": "benchmarks.labelling.published:shared",
    "dask-threads": "benchmarks.labelling.engines:dask_threads",
    "dask-processes": "benchmarks.labelling.engines:dask_processes",
    "pool": "benchmarks.labelling.engines:pool",
    "floor": "benchmarks.labelling.floor:floor",
    "filter": "benchmarks.labelling.floor:bare_filter",
}
"""Where each way is; one is imported only when it runs, so that none pays for another's packages."""


def load(name: str) -> Way:
    """Return a way by its name."""
    module, _, function = WAYS[name].partition(":")
    way: Way = getattr(importlib.import_module(module), function)
    return way


def main() -> None:
    """Start the engine, label, and tell the moments between."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("way", choices=WAYS)
    options.add_argument("scenes", nargs="+", type=Path)
    options.add_argument("--cores", type=int, default=2)
    options.add_argument("--profile", required=True)
    options.add_argument("--expected", type=Path, required=True)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--cut", action="store_true")
    given = options.parse_args()
    job = Job(given.scenes, given.profile, given.expected, given.out, given.cut)
    with load(given.way)(job, given.cores) as work:
        ready = time.monotonic()
        work()
        done = time.monotonic()
    print(json.dumps({"ready": ready, "done": done}))


if __name__ == "__main__":
    main()
