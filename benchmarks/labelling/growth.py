"""What very many scenes cost where there is little to do about each.

    python -m benchmarks.labelling.growth                             # 1,000 and 10,000 scenes
    python -m benchmarks.labelling.growth --sizes 1000 10000 100000   # the last takes half an hour or more
    python -m benchmarks.labelling.growth --sizes 1000 10000 --tell   # the tables of an earlier run again

A run folder of so many tiny scenes is made (many_scenes.py), and each step is measured in a process of its
own. It prints tables of seconds, of memory and of what a cluster would make of a million scenes.

step         what is measured
-----------  ----------------------------------------------------------------------------
catalogue    the catalogue of scenes that nobody has opened yet, by Spark
known        the same again: all are known by what their files look like
rerun        jobs.label with nothing to do
plan         the plan, and all tasks of labelling in batches, as they would be sent to Spark
evaluation   jobs.evaluate on all test scenes, by Spark
report       the page
training     what a rank does at the start: chips opened and checked, as the only one
again        the same of chips that have passed before
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Collection, Mapping
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from benchmarks.labelling.many_scenes import CHIP, copy_catalogue, finish, label_config, make_scenes
from benchmarks.labelling.measure import Measured, measure
from labeling.files.layout import Run, make_run
from labeling.files.marks import FRESH_NS

_CORES_OF_A_NODE: Final = 16
_NODES: Final = (16, 64)
_MANY: Final = 1_000_000
_TICK: Final = os.sysconf("SC_CLK_TCK")
_SPARK: Final = {"master": "local[2,4]", "driver_memory": "2g"}


class Took(NamedTuple):
    """What a step took."""

    measured: Measured
    driver: float
    """Seconds on a processor of the driver, Python and Java."""
    note: str
    waited: float = 0.0
    """Seconds in which the driver's Python could have worked and others had the processors (Linux)."""


# --- the steps, each in a process of its own ---


def catalogue(run: Run, scenes: Path) -> str:
    """Make the catalogue, and write it."""
    from pipelines.catalog import build_catalog, write_catalog
    from pipelines.engine.session import lazy_session
    from pipelines.engine.settings import SparkSettings

    with lazy_session("growth", SparkSettings.model_validate(_SPARK)) as spark:
        rows, failures = build_catalog([str(scenes)], run, spark=spark)
        write_catalog(rows, run)
        _note_java()
    return f"{len(rows)} scenes, {len(failures)} failures"


def rerun(run: Run, scenes: Path) -> str:
    """Run the job."""
    from pipelines.label import run as label

    outcome = label(label_config(scenes, Path(str(run.root)), spark=_SPARK))
    return f"{outcome.done} done, {len(outcome.failures)} failures"


def plan(run: Run, scenes: Path) -> str:
    """Plan all scenes as if none were done; make all tasks, a batch at a time."""
    from pipelines.catalog import read_catalog
    from pipelines.engine.plan import make_plan
    from pipelines.label import task_of
    from pipelines.many.batches import BATCH, batches

    made = make_plan(read_catalog(run), cores=2, memory=2 << 30, scratch=32 << 30)
    tasks = sum(len([task_of(scene) for scene in batch]) for batch in batches(made.whole, BATCH))
    return f"{tasks} tasks"


def evaluation(run: Run, scenes: Path) -> str:
    """Evaluate."""
    from pipelines.evaluate import EvaluateConfig
    from pipelines.evaluate import run as evaluate

    outcome = evaluate(EvaluateConfig.model_validate({"run": str(run.root), "spark": _SPARK}))
    return f"{outcome.done} test scenes, {len(outcome.failures)} failures"


def report(run: Run, scenes: Path) -> str:
    """Write the page."""
    from pipelines.report.page import write_report

    write_report(run)
    return f"{run.report.stat().st_size / 1e6:.1f} MB"


def training(run: Run, scenes: Path) -> str:
    """Open and check the chips, as the only rank, for the first time."""
    from labeling.chips.passed import PASSED

    (run.chips / PASSED).unlink(missing_ok=True)
    return again(run, scenes)


def again(run: Run, scenes: Path) -> str:
    """Open the chips, and check them where they have not passed yet."""
    from labeling.chips.check import check_chips
    from labeling.chips.passed import has_passed, look_at_chips, note_passed
    from training.data.store import ChipStore

    chips = Path(str(run.chips))
    train, val = ChipStore(chips, "train"), ChipStore(chips, "val")
    seen = f"{train.fingerprint:.8} and {val.fingerprint:.8}"
    look = look_at_chips(chips, train.card, "segment")
    passed = has_passed(chips, look)
    if not passed:
        for store in (train, val):
            store.check_sizes(rank=0, size=1)
        check_chips(chips, train.card)
        assert look is not None
        note_passed(chips, look)
    told = f"{len(train)} chips of {CHIP} x {CHIP}, {'passed before' if passed else 'new'}"
    return f"{told}, seen as {seen}"


_STEPS: Final[dict[str, Callable[[Run, Path], str]]] = {
    "catalogue": catalogue,
    "known": catalogue,
    "rerun": rerun,
    "plan": plan,
    "evaluation": evaluation,
    "report": report,
    "training": training,
    "again": again,
}

_MODULES: Final = {
    "catalogue": ("pipelines.catalog",),
    "known": ("pipelines.catalog",),
    "rerun": ("pipelines.label",),
    "plan": ("pipelines.label",),
    "evaluation": ("pipelines.evaluate",),
    "report": ("pipelines.report.page",),
    "training": ("labeling.chips.check", "labeling.chips.passed", "training.data.store"),
    "again": ("labeling.chips.check", "labeling.chips.passed", "training.data.store"),
}
"""What each step works with."""

_java = [0.0]


def _note_java() -> None:
    """Note what Java has taken so far; before it is stopped."""
    from pyspark import SparkContext

    gateway = SparkContext._gateway
    if gateway is not None:
        fields = Path(f"/proc/{gateway.proc.pid}/stat").read_text().rpartition(")")[2].split()
        _java[0] = (int(fields[11]) + int(fields[12])) / _TICK


def _watch_java() -> None:
    """Let every session note what its Java has taken when it stops."""
    from pipelines.engine import session

    stop = session._stop

    def noting(spark: Any) -> None:
        _note_java()
        stop(spark)

    session._stop = noting


def _waited() -> float:
    """Return the seconds that this thread has waited for a processor so far."""
    return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9


def run_step(name: str, folder: Path) -> None:
    """Do a step, and tell what it took."""
    _watch_java()
    for module in _MODULES[name]:  # a job's start is no matter of its scenes
        import_module(module)
    ready, own, waited = time.monotonic(), time.process_time(), _waited()
    note = _STEPS[name](make_run(folder / "run"), folder / "scenes")
    told = {"ready": ready, "done": time.monotonic()}
    driver = time.process_time() - own + _java[0]
    (folder / f"{name}.json").write_text(
        json.dumps({"driver": driver, "note": note, "waited": _waited() - waited})
    )
    print(json.dumps(told))


# --- all of them, and the tables ---


def grow(folder: Path, count: int, opened: int, only: Collection[str] = _STEPS) -> dict[str, Took]:
    """Make a run of so many scenes, and measure steps; of more than `opened` none is opened.

    With `only` some steps are measured again, of a run that is there.
    """
    make_scenes(folder / "scenes", count)
    time.sleep(1.1 * FRESH_NS / 1e9)  # what was touched a moment ago is not known by its times
    for name in only:
        if name == "catalogue" and count > opened:
            copy_catalogue(make_run(folder / "run"), folder / "scenes")
            continue
        if name == "rerun":
            finish(make_run(folder / "run"), folder / "scenes", folder / "first")
        command = [
            sys.executable,
            "-m",
            "benchmarks.labelling.growth",
            "--step",
            name,
            "--folder",
            str(folder),
        ]
        took = measure(command)
        record = folder / f"{name}.json"
        record.write_text(json.dumps(json.loads(record.read_text()) | {"measured": took._asdict()}))
        print(f"{count} {name}: {took.work:.1f} s, {read_step(record).note}", file=sys.stderr, flush=True)
    return read_steps(folder)


def read_step(record: Path) -> Took:
    """Read what a step took, as it was noted when it was measured."""
    noted = json.loads(record.read_text())
    return Took(Measured(**noted["measured"]), noted["driver"], noted["note"], noted["waited"])


def read_steps(folder: Path) -> dict[str, Took]:
    """Read all steps of a size."""
    return {name: read_step(folder / f"{name}.json") for name in _STEPS if (folder / f"{name}.json").exists()}


def tables(grown: Mapping[int, Mapping[str, Took]]) -> list[Table]:
    """Return what every step took by number of scenes, how that grows, and a prediction."""
    sizes = sorted(grown)
    each = Table(
        "step", *(f"{size:,} scenes" for size in sizes), box=MARKDOWN,
        title="ms a scene (on processors, of all processes; the driver waiting for one)",
    )  # fmt: skip
    growth = Table(
        "step", *(f"{a:,} to {b:,}" for a, b in pairwise(sizes)), title="times longer", box=MARKDOWN
    )
    memory = Table("step", *(f"{size:,}" for size in sizes), title="driver, MiB", box=MARKDOWN)
    for name in _STEPS:
        took = [grown[size].get(name) for size in sizes]
        each.add_row(name, *(_a_scene(one, size) for one, size in zip(took, sizes, strict=True)))
        growth.add_row(name, *(_times(one, other) for one, other in pairwise(took)))
        memory.add_row(name, *map(_peaks, took))
    predicted = Table(
        "step", *(f"{nodes} nodes" for nodes in _NODES), "of that the driver", title="a million scenes, s",
        box=MARKDOWN,
    )  # fmt: skip
    for name in _STEPS:
        if not (known := [size for size in sizes if name in grown[size]]):
            continue
        size = max(known)
        driver, elsewhere = _share(grown[size][name], size)
        seconds = [_MANY * (driver + elsewhere / nodes / _CORES_OF_A_NODE) for nodes in _NODES]
        predicted.add_row(name, *(f"{value:,.0f}" for value in seconds), f"{_MANY * driver:,.0f}")
    return [each, growth, memory, predicted]


def _a_scene(took: Took | None, scenes: int) -> str:
    if took is None:
        return ""
    work, cpu, waited = (
        1000 * seconds / scenes for seconds in (took.measured.work, took.measured.cpu, took.waited)
    )
    return f"{work:.2f} ({cpu:.2f}; {waited:.2f})"


def _times(one: Took | None, other: Took | None) -> str:
    return "" if one is None or other is None else f"{other.measured.work / one.measured.work:.1f}"


def _peaks(took: Took | None) -> str:
    return "" if took is None else f"{took.measured.python >> 20:,} + {took.measured.java >> 20:,}"


def _share(took: Took, scenes: int) -> tuple[float, float]:
    """Return seconds a scene on a processor, of the driver and of all others."""
    return took.driver / scenes, max(0.0, took.measured.cpu - took.driver) / scenes


def main() -> None:
    """Print the tables."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000])
    options.add_argument(
        "--folder", type=Path, default=Path("build/growth"), help="new, or of the same sizes"
    )
    options.add_argument(
        "--opened", type=int, default=10_000, help="scenes up to which a catalogue is made by opening them"
    )
    options.add_argument(
        "--only", nargs="+", choices=list(_STEPS), default=list(_STEPS), help="measure these again, no others"
    )
    options.add_argument("--tell", action="store_true", help="measure nothing: tables of what was measured")
    options.add_argument("--step", choices=list(_STEPS), help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.step:
        run_step(given.step, given.folder)
        return
    grown = {}
    for size in sorted(given.sizes):
        folder = (given.folder / str(size)).absolute()
        grown[size] = read_steps(folder) if given.tell else grow(folder, size, given.opened, given.only)
        if not grown[size]:
            options.error(
                f"nothing was measured of {size} scenes in {folder}: leave out --tell, or this size"
            )
    for table in tables(grown):
        Console(width=110).print(table)


if __name__ == "__main__":
    main()
