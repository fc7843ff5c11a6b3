"""Runs trainings as a user does, each in processes of its own, and reads what they tell of their epochs."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.training.timeline import NEGOTIATED
from training.folder.history import CSV_FILE
from training.ranks.collectives import CPU_CYCLE_MS

_ROOT: Final = Path(__file__).parents[2]

TRAIN: Final = ("-m", "jobs.train")

LOG: Final = "output.log"
"""What the ranks have printed, in the run's folder."""


class Tuning(NamedTuple):
    """Settings of Horovod's."""

    cycle_ms: float = CPU_CYCLE_MS
    """Pause between looks at what is to be reduced; Horovod's own is 1."""
    fusion_mb: int = 128
    """Most that is reduced at once; Horovod's own."""


class Epoch(NamedTuple):
    """One line of a history."""

    loss: float
    seconds: float
    """Of learning; neither validation nor checkpoints."""
    rate: float
    """Chips a second, over all ranks."""


def train(
    folder: Path,
    ranks: int,
    values: dict[str, Any],
    *,
    tuning: Tuning,
    job: Sequence[str] = TRAIN,
    timeline: Path | None = None,
    more: Mapping[str, str] | None = None,
) -> list[Epoch]:
    """Train in an empty `folder`, where LOG will be, and return the epochs; RuntimeError with the output.

    `values` are the keys of the configuration but `out`; `job` takes the place of `jobs.train`, and `more`
    goes into its environment.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    out = folder / "model"
    (folder / "train.yaml").write_text(json.dumps(values | {"out": str(out)}, default=str))  # JSON is YAML
    command = [sys.executable, *job, "--config", str(folder / "train.yaml")]
    if ranks > 1:
        command = [sys.executable, "-m", "jobs.launch", "--ranks", str(ranks), *command]
    done = subprocess.run(
        command, cwd=_ROOT, env=os.environ | _environment(tuning, timeline) | dict(more or {}), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    (folder / LOG).write_text(done.stdout)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed with {done.returncode}:\n{done.stdout[-4000:]}")
    with (out / CSV_FILE).open(newline="") as stream:
        return [
            Epoch(float(row["loss"]), float(row["seconds"]), float(row["chips_per_second"]))
            for row in csv.DictReader(stream)
        ]


def settled(epochs: Sequence[Epoch], first: int = 1) -> Sequence[Epoch]:
    """Leave out the `first` epochs: the first one compiles."""
    return epochs[first:]


def curve_distance(one: Sequence[Epoch], other: Sequence[Epoch]) -> float:
    """Return the largest difference of two loss curves, as a share of the loss."""
    return max(abs(a.loss - b.loss) / abs(a.loss) for a, b in zip(one, other, strict=True))


def show(table: Table) -> None:
    """Print a table in Markdown, its title on a line above: Rich wraps it to the table's width."""
    console = Console(width=160)
    title, table.title = table.title, None
    console.print(f"\n{title}\n", soft_wrap=True)
    console.print(table)


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Return the median with the least and the greatest, for a table."""
    middle, least, most = (f"{value:.{digits}f}" for value in (median(values), min(values), max(values)))
    return f"{middle} ({least} to {most})"


def _environment(tuning: Tuning, timeline: Path | None) -> dict[str, str]:
    found = {
        "PYTHONPATH": str(_ROOT),
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "HOROVOD_CYCLE_TIME": f"{tuning.cycle_ms:g}",
        "HOROVOD_FUSION_THRESHOLD": str(tuning.fusion_mb << 20),
    }
    return found | (NEGOTIATED | {"HOROVOD_TIMELINE": str(timeline)} if timeline else {})
