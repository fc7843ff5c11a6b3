"""The labelling benchmark's tables, in Markdown: what each way took, the goals, costs and predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from rich.box import MARKDOWN
from rich.table import Table

from benchmarks.labelling.breakdown import Cost
from benchmarks.labelling.measure import Measured
from benchmarks.labelling.scaling import model_of
from benchmarks.labelling.way import FILTERED
from benchmarks.labelling.workloads import Workload

_PREDICTED: Final = (1, 2, 4, 16, 64)
ENGINES: Final = ("dask-threads", "dask-processes", "pool")
"""Ways that run our stages under another engine."""

_BLOCK_AREA: Final = 2048 * 2048


class Case(NamedTuple):
    """A way on so many cores."""

    way: str
    cores: int


class Row(NamedTuple):
    """What a case took, and the share of pixels that differ from the expected labels; None without labels."""

    took: Measured
    differing: float | None


Rows = Mapping[Case, Row]


class Goal(NamedTuple):
    """A measured quotient and its bound."""

    what: str
    got: float
    bound: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the quotient is within its bound."""
        return self.got >= self.bound if self.at_least else self.got <= self.bound


def row_table(workload: Workload, profile: str, rows: Rows) -> Table:
    """Return what each case took."""
    table = Table(
        "way", "cores", "start, s", "work, s", "all, s", "processor, s", "Python, MiB", "JVM, MiB",
        "differing", title=_title(workload, profile, "disk to disk"), box=MARKDOWN,
    )  # fmt: skip
    for case, (took, differing) in sorted(rows.items()):
        seconds = (f"{value:.2f}" for value in (took.start, took.work, took.total, took.cpu))
        memory = (f"{value >> 20}" for value in (took.python, took.java))
        share = "" if differing is None else f"{differing:.2%}"
        table.add_row(case.way, str(case.cores), *seconds, *memory, share)
    return table


def goals(workload: Workload, profile: str, rows: Rows) -> list[Goal]:
    """Return the goals of a workload; "start" is the engine's: JVM and Python workers."""
    took = {case: row.took for case, row in rows.items()}
    ours, alone = took[Case("ours", 2)], took[Case("ours", 1)]
    published, engines = took[Case("published", 2)], [took[Case(way, 2)] for way in ENGINES]
    fastest, least = min(engine.total for engine in engines), min(engine.work for engine in engines)
    found = [
        Goal("published / ours, without start", published.work / ours.work, 5, at_least=True),
        Goal("published / ours, with start", published.total / ours.total, 2.5, at_least=True),
        Goal("ours without start / Dask or pool with theirs", (ours.total - ours.start) / fastest, 1),
        Goal("ours / Dask or pool, both without start", ours.work / least, 1),
        Goal("efficiency from 1 to 2 cores, without start", alone.work / ours.work / 2, 0.95, at_least=True),
        Goal("largest Python process / 2 GiB", max(ours.python, alone.python) / (2 << 30), 1),
    ]
    if workload.name == "large":
        bare = took[Case("floor", 2)].work
        if profile == FILTERED:
            bare += took[Case("filter", 2)].work
        what = "ours / (floor + bare filter)" if profile == FILTERED else "ours / floor"
        found.append(Goal(f"{what}, without start", ours.work / bare, 1.3 if profile == FILTERED else 1.25))
    return found


def goal_table(workload: Workload, profile: str, rows: Rows) -> Table:
    """Return the goals and whether they are met."""
    table = Table("goal", "bound", "measured", "", title=_title(workload, profile, "goals"), box=MARKDOWN)
    for goal in goals(workload, profile, rows):
        bound = f"{'>=' if goal.at_least else '<='} {goal.bound:g}"
        table.add_row(goal.what, bound, f"{goal.got:.2f}", "met" if goal.met else "not met")
    return table


def cost_table(workload: Workload, profile: str, costs: Mapping[str, Cost]) -> Table:
    """Return where a scene's time goes."""
    table = Table(
        "stage", "processor, s", "in its first thread, s",
        title=_title(workload, profile, "a scene's stages in one process"), box=MARKDOWN,
    )  # fmt: skip
    for name, cost in costs.items():
        table.add_row("of that, reading" if name == "read" else name, f"{cost.cpu:.3f}", f"{cost.serial:.3f}")
    return table


def scaling_table(workload: Workload, profile: str, rows: Rows, costs: Mapping[str, Cost]) -> Table:
    """Return the prediction for more cores beside what was measured."""
    took = {case: row.took for case, row in rows.items()}
    blocks = 1 if workload.name == "pictures" else -(-workload.pixels // _BLOCK_AREA)
    alone = took[Case("ours", 1)].cpu
    model = model_of(costs, scenes=len(workload.scenes), blocks=blocks, cpu=alone)
    table = Table(
        "cores", "work predicted, s", "times faster", "measured, s",
        title=_title(workload, profile, "prediction from task costs"), box=MARKDOWN,
    )  # fmt: skip
    for cores in _PREDICTED:
        measured = took.get(Case("ours", cores))
        seconds = model.seconds(cores)
        table.add_row(
            str(cores), f"{seconds:.2f}", f"{model.seconds(1) / seconds:.1f}",
            f"{measured.work:.2f}" if measured else "",
        )  # fmt: skip
    return table


def _title(workload: Workload, profile: str, what: str) -> str:
    return f"{workload.folder.name}, {profile}: {what}"
