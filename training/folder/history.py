"""What a training tells while it runs: a line an epoch, history.csv and TensorBoard curves. Rank 0 only."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final, TypeVar

import tensorflow as tf
from rich.console import Console
from rich.progress import track

from labeling.files.atomic import replacing
from training.folder.checkpoints import Part, Row
from training.network.metrics import Scores

CSV_FILE: Final = "history.csv"
TENSORBOARD_FOLDER: Final = "tensorboard"

T = TypeVar("T")


def epoch_row(
    *, epoch: int, part: Part, val_loss: float | None, val: Scores | None, names: tuple[str, ...]
) -> Row:
    """Return one line of the history; None stands for what there is no validation split for.

    Each of the classes `names` has columns of its own. Seconds and chips are those of learning, over all
    ranks; validation is not in them.
    """
    row: Row = {"epoch": epoch, "loss": part.loss / (part.weight or 1.0), "val_loss": val_loss}
    found = val.as_dict() if val is not None else None
    row |= {key: found[key] if found else None for key in ("accuracy", "mean_iou")}
    for name in names:
        for score in ("precision", "recall", "f1", "iou"):
            row[f"{score}_{name}"] = found["classes"][name][score] if found else None
    return row | {
        "learning_rate": part.rate,
        "steps": part.steps,
        "skipped_steps": part.skipped,
        "seconds": round(part.seconds, 3),
        "seconds_per_step": round(part.seconds / part.steps, 5),
        "chips_per_second": round(part.seen / part.seconds, 2),
    }


def line(row: Row, epochs: int) -> str:
    """Return the line a person reads."""
    parts = [f"epoch {row['epoch']:>{len(str(epochs))}}/{epochs}", f"loss {row['loss']:.4f}"]
    for key, title in (("val_loss", "val loss"), ("accuracy", "val accuracy"), ("mean_iou", "val mean IoU")):
        if row[key] is not None:
            parts.append(f"{title} {row[key]:.4f}")
    return "  ".join([*parts, f"{row['seconds']:.1f} s", f"{row['chips_per_second']:.1f} chips/s"])


def write_csv(out: Path, history: list[Row]) -> None:
    """Write history.csv anew, atomically: after a resume it must not hold an epoch twice."""
    with replacing(out / CSV_FILE) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, fieldnames=list(history[0]))
        table.writeheader()
        table.writerows(history)


class TensorBoard:
    """Writes the rows as TensorBoard scalars."""

    def __init__(self, out: Path) -> None:
        self._writer = tf.summary.create_file_writer(str(out / TENSORBOARD_FOLDER))

    def add(self, row: Row) -> None:
        """Write the figures of one epoch."""
        with self._writer.as_default(step=row["epoch"]):
            for key, value in row.items():
                if value is not None and key != "epoch":
                    tf.summary.scalar(key, value)
        self._writer.flush()


def shown(steps: Iterable[T], count: int, title: str, leads: bool) -> Iterable[T]:
    """Pass `steps` on, with a progress bar when a person is watching rank 0's standard error."""
    if not (leads and sys.stderr.isatty()):
        return steps
    return track(steps, title, total=count, console=Console(stderr=True), transient=True)
