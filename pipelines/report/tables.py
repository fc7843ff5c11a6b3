"""What the report's tables say, read from the run folder: areas, jobs, the model, its training."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from statistics import median
from typing import Any, Final, NamedTuple

from labeling.classes import IceClass
from labeling.files.layout import Run
from labeling.files.storage import AnyPath
from pipelines.report.charts import HistoryRow
from pipelines.report.headline import NONE


class Areas(NamedTuple):
    """Areas of one class raster, or of many together."""

    scene_id: str
    source: str
    unit: str
    """"km²", or "px" where the size of a pixel is not known."""
    classes: tuple[float, ...]
    """Area of each class in `unit`, in the order of the class codes."""
    ignored: float
    """Area without a class in `unit`."""

    @property
    def shares(self) -> tuple[float, ...]:
        """Share of each class in what has a class, 0..1; zeros where nothing has."""
        total = sum(self.classes)
        return tuple(area / total if total else 0.0 for area in self.classes)


class JobRecord(NamedTuple):
    """What a job wrote about itself."""

    name: str
    started: str
    seconds: float | None
    summary: dict[str, Any]
    settings: list[tuple[str, str]]
    versions: dict[str, str]


def areas_of(scene_id: str, source: str, done: Mapping[str, Any]) -> Areas:
    """Return a completion mark's true areas; pixels where it has none, as marks of older versions."""
    square_metres = done.get("areas_m2")
    factor, counts = (1.0, done["pixels"]) if square_metres is None else (1e-6, square_metres)
    classes = tuple(counts.get(ice.name.lower(), 0) * factor for ice in IceClass)
    unit = "px" if square_metres is None else "km²"
    return Areas(scene_id, source, unit, classes, counts.get("ignore", 0) * factor)


def total_areas(rows: Iterable[Areas]) -> list[Areas]:
    """Add up rows of one source and unit; areas and pixels are never mixed."""
    groups: dict[tuple[str, str], list[Areas]] = {}
    for row in rows:
        groups.setdefault((row.source, row.unit), []).append(row)
    return [
        Areas(
            f"total of {len(members)} scene{'s' if len(members) > 1 else ''}",
            *key,
            tuple(sum(areas) for areas in zip(*(row.classes for row in members), strict=True)),
            sum(row.ignored for row in members),
        )
        for key, members in groups.items()
    ]


def read_jobs(run: Run) -> list[JobRecord]:
    """Return the records of the jobs that ran, oldest first; one that cannot be read is left out."""
    records = []
    for file in (run.root / "jobs").glob("*.json"):
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            records.append(
                JobRecord(
                    name=content["job"],
                    started=content["started"],
                    seconds=content.get("seconds"),
                    summary=content.get("summary", {}),
                    settings=flatten(content.get("config", {})),
                    versions=content.get("versions", {}),
                )
            )
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return sorted(records, key=lambda record: record.started)


def flatten(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return settings as (dotted key, text), with long lists cut short.

    >>> flatten({"chips": {"size": 256}, "scenes": ["a", "b"]})
    [('chips.size', '256'), ('scenes', 'a, b')]
    """
    rows: list[tuple[str, str]] = []
    for key, value in settings.items():
        if isinstance(value, Mapping):
            rows += flatten(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", _text(value)))
    return rows


def _text(value: Any) -> str:
    if value is None:
        return NONE
    if isinstance(value, list):
        shown = ", ".join(str(item) for item in value[:4])
        return shown if len(value) <= 4 else f"{shown}, … ({len(value)} in all)"
    return str(value)


_MODEL_FACTS: Final = {
    "profile": "labels by profile",
    "rendering": "rendering",
    "channels": "channels",
    "chip_size": "chip side, pixels",
    "depth": "U-Net levels",
    "width": "filters of the first level",
    "optimizer": "optimiser",
    "learning_rate": "learning rate",
    "batch_size": "chips per rank and step",
    "world_size": "ranks (world size)",
    "seed": "seed",
    "augment": "augmentation",
    "epochs_run": "epochs run",
    "best_epoch": "epoch kept",
    "chips_digest": "digest of the chips",
}


def model_facts(card: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what a model card says of the training, as (title, text)."""
    facts = [(title, _text(card[key])) for key, title in _MODEL_FACTS.items() if key in card]
    if card.get("versions"):
        facts.append(("versions", ", ".join(f"{name} {number}" for name, number in card["versions"].items())))
    return facts


def training_facts(history: Sequence[HistoryRow]) -> list[tuple[str, str]]:
    """Return how long the epochs took, as (title, text), as far as the history says."""
    seconds = [value for row in history if (value := row.get("seconds")) is not None]
    rates = [value for row in history if (value := row.get("chips_per_second")) is not None]
    facts = [("time of all epochs", f"{sum(seconds):.0f} s")] if seconds else []
    return facts + ([("chips per second (median)", f"{median(rates):.1f}")] if rates else [])


def read_history(file: AnyPath) -> list[HistoryRow]:
    """Return the epochs of history.csv; lines without an epoch are left out, missing values are None."""
    if not file.is_file():
        return []
    text = file.read_text(encoding="utf-8", errors="replace").replace("\0", "")
    rows = [
        {key: _number(value) for key, value in row.items() if key}
        for row in csv.DictReader(StringIO(text, newline=""), restkey="")
    ]
    return [row for row in rows if row.get("epoch") is not None]


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
