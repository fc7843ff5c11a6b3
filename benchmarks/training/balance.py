"""Times training on two ranks of which one is slowed: equal shares of each batch against shares by speed.

    .venv/bin/python -m benchmarks.training.balance
    .venv/bin/python -m benchmarks.training.balance --ratio 2 --rounds 5

The slowed rank sleeps in proportion to its own work (slowed.py). Runs alternate, a thread a rank.
Epochs count from the third on: the first compiles, and the second starts from a single measurement. With
equal shares an update takes as long as the slow rank does for its half; at a ratio of n the best shares are
n to 1 and at most (n + 1) / 2 times faster.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from rich.box import MARKDOWN
from rich.table import Table

from benchmarks.training.runs import Epoch, Tuning, curve_distance, settled, show, spread, train
from labeling.settings import load_settings
from training.settings.config import TrainConfig

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "helpers"))
from chip_factory import write_chips

GOAL: Final = 1.7
"""Times faster with auto at a ratio of 3."""

_LEFT_OUT: Final = 2

Runs = Mapping[str, Sequence[Sequence[Epoch]]]
"""Rounds of epochs under each balance."""


def main() -> None:
    """Measure and print, in Markdown."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--config", type=Path, default=Path("jobs/conf/train.yaml"))
    options.add_argument("--ratio", type=float, default=3.0, help="how many times slower the second rank is")
    options.add_argument("--batch-size", dest="batch_size", type=int, default=8, help="a rank, on average")
    options.add_argument("--side", type=int, default=128, help="of a chip, pixels")
    options.add_argument("--updates", type=int, default=6, help="in an epoch")
    options.add_argument("--epochs", type=int, default=5, help="in a run")
    options.add_argument("--rounds", type=int, default=3)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = measured(given, Path(folder))
    show(compared(runs, given))


def measured(given: argparse.Namespace, folder: Path) -> Runs:
    """Alternate equal and automatic shares."""
    chips = write_chips(
        folder / "chips", train=2 * given.batch_size * given.updates, val=0, size=given.side, per_file=64
    )
    changed: dict[str, Any] = {"chips": chips, "out": folder, "batch_size": given.batch_size}
    base = load_settings(TrainConfig, given.config, changed).model_dump(mode="json")
    del base["out"]
    # Dropout off, because ranks drop different units: only then are the curves the same.
    base |= {"epochs": given.epochs, "threads": 1, "gpus": "none", "dropout": [0.0] * base["depth"]}
    job = ("-m", "benchmarks.training.slowed", "--ratio", f"{given.ratio:g}")
    runs: dict[str, list[list[Epoch]]] = {"equal": [], "auto": []}
    for _ in range(given.rounds):
        for balance, rounds in runs.items():
            rounds.append(train(folder / "run", 2, base | {"balance": balance}, tuning=Tuning(), job=job))
    return runs


def seconds(epochs: Sequence[Epoch]) -> float:
    """Return the median time of the epochs that count."""
    return median(epoch.seconds for epoch in settled(epochs, _LEFT_OUT))


def compared(runs: Runs, given: argparse.Namespace) -> Table:
    """Return the table."""
    bound = (given.ratio + 1) / 2
    goal = f", goal {GOAL:g}" if given.ratio == 3 else ""
    title = (
        f"Training, {given.config.name}: 2 ranks, one {given.ratio:g} times slower, batch "
        f"{2 * given.batch_size}, {given.side} x {given.side}, {given.rounds} rounds in turn: "
        "median (least to greatest)"
    )
    table = Table(
        "balance", "s an epoch", f"times faster (bound {bound:g}{goal})", "last loss", "curves differ by",
        title=title, box=MARKDOWN,
    )  # fmt: skip
    equal, auto = runs["equal"], runs["auto"]
    faster = [seconds(one) / seconds(other) for one, other in zip(equal, auto, strict=True)]
    apart = max(curve_distance(equal[0], epochs) for epochs in auto)
    cells = [spread([seconds(epochs) for epochs in rounds]) for rounds in (equal, auto)]
    table.add_row("equal", cells[0], "", f"{equal[0][-1].loss:.6f}", "")
    table.add_row("auto", cells[1], spread(faster), f"{auto[0][-1].loss:.6f}", f"{apart:.1e}")
    return table


if __name__ == "__main__":
    main()
