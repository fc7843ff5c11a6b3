"""Compares what two ranks learn when their gradients travel as float16 with what they learn as float32.

    .venv/bin/python -m benchmarks.training.exchanged_half                        # four minutes
    .venv/bin/python -m benchmarks.training.exchanged_half --chips RUN/chips --config FILE

Each training is one of its own, of the same chips and seed; dropout is on. Seeds differ by more than what
rounding may cost, or it costs too much: the last column is the difference at the same seed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Final

from rich.box import MARKDOWN
from rich.table import Table

from benchmarks.training.runs import Tuning, curve_distance, show, train
from labeling.settings import load_settings
from training.folder.card import read_model_card
from training.settings.config import TrainConfig

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "helpers"))
from chip_factory import write_chips

SMALL: Final[dict[str, Any]] = {"depth": 3, "width": 8, "dropout": None, "epochs": 8, "batch_size": 1}
"""What a training on made-up chips is like."""


def main() -> None:
    """Train and print."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--config", type=Path, default=Path("jobs/conf/train.yaml"))
    options.add_argument("--chips", type=Path, help="with a val split; default: made-up ones of 64 x 64")
    options.add_argument("--epochs", type=int, help="default: 8 on made-up chips, else the configuration's")
    options.add_argument("--seeds", type=int, default=5)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        show(compared(given, Path(folder)))


def compared(given: argparse.Namespace, folder: Path) -> Table:
    """Train with each seed both ways and return the table."""
    chips = given.chips or write_chips(folder / "chips", train=48, val=12, size=64)
    changed = {"chips": chips, "out": folder, "threads": 1} | ({} if given.chips else SMALL)
    base = load_settings(TrainConfig, given.config, changed).model_dump(mode="json", exclude={"out"})
    if given.epochs:
        base["epochs"] = given.epochs
    title = f"two ranks, {given.config.name}, {base['epochs']} epochs: validation mean IoU of the best epoch"
    table = Table("seed", "float32", "float16", "difference", "losses differ by", title=title, box=MARKDOWN)
    both = []
    for seed in range(given.seeds):
        curves, scores = [], []
        for precision in (None, "float16"):
            place = folder / f"{seed}-{precision}"
            values = base | {"seed": seed, "exchange_precision": precision}
            curves.append(train(place, 2, values, tuning=Tuning()))
            scores.append(read_model_card(place / "model").metrics["mean_iou"])
        both.append(scores)
        exact, half = scores
        differ = f"{100 * curve_distance(*curves):.2f} %"
        table.add_row(str(seed), f"{exact:.4f}", f"{half:.4f}", f"{half - exact:+.4f}", differ)
    for name, of in (("mean", mean), ("deviation", stdev)) if len(both) > 1 else ():
        table.add_row(name, *(f"{of(scores):.4f}" for scores in zip(*both, strict=True)), "", "")
    return table


if __name__ == "__main__":
    main()
